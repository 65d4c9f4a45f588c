"""A caller's URL never leads into the network that the server stands in, however it is written."""

from collections.abc import Sequence

import pytest

from imagescribe_ops.contract.addresses import ForbiddenHostError, Reach, is_loopback, is_public, look_up

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # metadata of AWS, Google and Azure
        "100.100.100.200",  # metadata of Alibaba: shared address space
        "198.18.0.1",
        "224.0.0.251",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:7f00:1",
        "::127.0.0.1",  # IPv4-compatible
        "::ffff:0:a9fe:a9fe",  # 169.254.169.254 by SIIT
        "64:ff9b::a9fe:a9fe",  # and by NAT64
        "64:ff9b:1::a9fe:a9fe",  # and by a NAT64 of one's own
        "2002:7f00:1::",  # 127.0.0.1 by 6to4
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # 127.0.0.1 by Teredo
        "fd00:ec2::254",  # metadata of AWS
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "5f00::1",  # segment routing
    ],
)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "52.218.0.1", "2600:1f18::1", "::ffff:52.218.0.1", "64:ff9b::34da:1"])
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "169.254.169.254",
        "2852039166",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "user:password@127.0.0.1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_way_to_write_this_machine_or_the_metadata_service_is_taken(scheme: str, host: str) -> None:
    """By the real resolver, which reads all of these."""
    with pytest.raises(ForbiddenHostError) as error:
        Reach().place(f"{scheme}://{host}/latest/meta-data/?X-Amz-Signature=5ec7e7", look_up)
    assert "5ec7e7" not in str(error.value)
    assert "password" not in str(error.value)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], [PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], ["::ffff:10.0.0.1"]])
def test_a_name_that_leads_inside_with_any_of_its_addresses_is_refused(addresses: Sequence[str]) -> None:
    with pytest.raises(ForbiddenHostError, match=r"rebound\.example"):
        Reach().place("https://rebound.example/a.png", lambda _host, _port: addresses)


def test_a_public_host_is_taken_over_https_and_its_checked_addresses_stand_in_the_place() -> None:
    place = Reach().place("https://b.s3.amazonaws.com/k%20y?X=1#part", lambda _host, _port: [PUBLIC, PUBLIC])
    assert (place.scheme, place.host, place.port) == ("https", "b.s3.amazonaws.com", 443)
    assert (place.addresses, place.target, place.host_header) == ([PUBLIC], "/k%20y?X=1", "b.s3.amazonaws.com")


def test_a_public_host_is_not_taken_over_plain_http() -> None:
    with pytest.raises(ForbiddenHostError, match="plain HTTP"):
        Reach().place("http://b.s3.amazonaws.com/k", lambda _host, _port: [PUBLIC])


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("127.0.0.1:4566", "http://127.0.0.1:4566/b/k"),
        ("127.0.0.1", "http://127.0.0.1:1234/b/k"),
        ("minio.lan", "http://MinIO.lan/b/k"),
        ("minio.lan:443", "https://minio.lan/b/k"),
        ("[::1]:9000", "http://[::1]:9000/b/k"),
        ("::1", "http://[::1]:9000/b/k"),
    ],
)
def test_a_host_that_is_allowed_may_be_private_and_without_tls(allowed: str, url: str) -> None:
    assert Reach(frozenset({allowed}), public=False).place(url, lambda _host, _port: ["10.0.0.1"]).addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4567/b/k",  # another port
        "http://127.1:4566/b/k",  # the same machine, by another name
        "http://127.0.0.1:4566@10.0.0.1/b/k",
        "http://127.0.0.1:4566.evil.example/b/k",
        "https://public.example/b/k",
    ],
)
def test_what_is_allowed_allows_nothing_else(url: str) -> None:
    with pytest.raises((ForbiddenHostError, ValueError)):
        Reach(frozenset({"127.0.0.1:4566"}), public=False).place(url, lambda _host, _port: ["127.0.0.1"])


@pytest.mark.parametrize(
    "url", ["", "a.png", "ftp://a/b", "file:///etc/passwd", "http://", "http://[::", "http://a:x/"]
)
def test_what_is_no_url_of_the_web_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Reach().place(url, lambda _host, _port: [PUBLIC])


@pytest.mark.parametrize("url", ["https://[::1]/", "http://127.8.9.10:1/", "https://LOCALHOST/"])
def test_every_form_of_this_machines_own_address_counts(url: str) -> None:
    assert is_loopback(url)

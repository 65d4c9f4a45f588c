"""S3 in memory: objects with tags, in buckets with and without versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5
from io import BytesIO
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError
from botocore.response import StreamingBody


@dataclass
class Stored:
    """One version of an object; its content is None where it is a delete marker."""

    content: bytes | None
    version_id: str | None
    tags: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def etag(self) -> str:
        return md5(self.content or b"", usedforsecurity=False).hexdigest()


@dataclass
class InMemoryS3:
    """Buckets come into being when they are first written to; those named in `versioned` keep versions."""

    versioned: set[str] = field(default_factory=set)
    stacks: dict[tuple[str, str], list[Stored]] = field(default_factory=dict)
    _versions: int = 0

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str = "") -> dict[str, Any]:
        stored = self._push(Bucket, Key, Body)
        return {"ETag": f'"{stored.etag}"'} | ({"VersionId": stored.version_id} if stored.version_id else {})

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        if VersionId is not None:
            stack = self.stacks.get((Bucket, Key), [])
            stack[:] = [each for each in stack if each.version_id != VersionId]
        elif Bucket in self.versioned:
            marker = self._push(Bucket, Key, None)
            return {"DeleteMarker": True, "VersionId": marker.version_id}
        else:
            self.stacks.pop((Bucket, Key), None)
        return {}

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        stored = self._find(Bucket, Key, VersionId, "HeadObject", "404")
        answer = {"ETag": f'"{stored.etag}"', "ContentLength": len(stored.content or b"")}
        return answer | ({"VersionId": stored.version_id} if stored.version_id else {})

    def get_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Range: str | None = None,
        VersionId: str | None = None,
        IfMatch: str | None = None,
    ) -> dict[str, Any]:
        stored = self._find(Bucket, Key, VersionId, "GetObject", "NoSuchKey")
        if IfMatch not in (None, stored.etag):
            raise _error("PreconditionFailed", "GetObject")
        content = stored.content or b""
        answer = self.head_object(Bucket=Bucket, Key=Key, VersionId=VersionId)
        if Range is not None:
            if not content:
                raise _error("InvalidRange", "GetObject")
            start, end = map(int, Range.removeprefix("bytes=").split("-"))
            answer["ContentRange"] = f"bytes {start}-{min(end, len(content) - 1)}/{len(content)}"
            content = content[start : end + 1]
        return answer | {"Body": StreamingBody(BytesIO(content), len(content))}

    def get_object_tagging(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        stored = self._find(Bucket, Key, VersionId, "GetObjectTagging", "NoSuchKey")
        return {"TagSet": list(stored.tags)} | ({"VersionId": stored.version_id} if stored.version_id else {})

    def put_object_tagging(
        self,
        *,
        Bucket: str,
        Key: str,
        Tagging: Mapping[str, list[Mapping[str, str]]],
        VersionId: str | None = None,
    ) -> dict[str, Any]:
        self._find(Bucket, Key, VersionId, "PutObjectTagging", "NoSuchKey").tags = list(Tagging["TagSet"])
        return {}

    def generate_presigned_url(self, _operation: str, *, Params: Mapping[str, str], **_options: Any) -> str:
        version = f"versionId={Params['VersionId']}&" if "VersionId" in Params else ""
        return f"https://{Params['Bucket']}.s3.amazonaws.com/{quote(Params['Key'])}?{version}X-Amz-Signature=0f0f"

    def _push(self, bucket: str, key: str, content: bytes | None) -> Stored:
        if bucket in self.versioned:
            self._versions += 1
            stored = Stored(content, f"version-{self._versions}")
            self.stacks.setdefault((bucket, key), []).append(stored)
        else:
            stored = Stored(content, None)
            self.stacks[bucket, key] = [stored]
        return stored

    def _find(self, bucket: str, key: str, version_id: str | None, operation: str, missing: str) -> Stored:
        stack = self.stacks.get((bucket, key), [])
        if version_id is not None:
            stack = [each for each in stack if each.version_id == version_id]
        if not stack or stack[-1].content is None:
            raise _error("NoSuchVersion" if version_id else missing, operation)
        return stack[-1]


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "in memory"}}, operation)

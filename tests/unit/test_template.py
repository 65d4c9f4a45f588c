"""Rules of the template that a deploy would not notice: privileges, encryption, numbers that hang together."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from imagescribe.aws.sqs import RECEIVES_BEFORE_REQUEUE
from imagescribe.model.labels import TAG_KEY
from imagescribe.query.snapshot import KEY
from imagescribe.settings import Settings
from tests import sam_template
from tests.factories import ROOT

FUNCTIONS = sam_template.resources("AWS::Serverless::Function")
QUEUES = sam_template.resources("AWS::SQS::Queue")
TABLES = sam_template.resources("AWS::DynamoDB::Table")
ROLES = sam_template.resources("AWS::IAM::Role")
RESOURCES: dict[str, dict[str, Any]] = sam_template.load()["Resources"]


def inner(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    match value:
        case dict():
            for each in value.values():
                yield from inner(each)
        case list():
            for each in value:
                yield from inner(each)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy, the conditional ones too, by the resource that it stands in."""
    for name, resource in RESOURCES.items():
        for each in inner(resource):
            if isinstance(each, dict) and "Effect" in each:
                yield f"{name}.{each.get('Sid', '')}", each


STATEMENTS = dict(statements())
ALLOWED = {name: each for name, each in STATEMENTS.items() if each["Effect"] == "Allow"}


# ── Privileges ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_statements_are_found() -> None:
    expected = {"DescribeRole.ReadImages", "DescribeRole.WriteTheirTags", "DescribeRole.DecryptImages"}
    assert {*expected, "RecoverRole.ThrottleAndNotebook"} <= set(ALLOWED)
    assert "BucketPolicy.TlsOnly" in STATEMENTS


def test_the_only_permission_without_a_resource_is_the_one_that_can_have_none() -> None:
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    everything = {name for name, each in ALLOWED.items() if each.get("Resource") == "*"}
    assert everything == {f"{role}.WriteTraces" for role in sam_template.resources("AWS::IAM::Role")}


@pytest.mark.parametrize("name", [name for name in ALLOWED if not name.endswith(".WriteTraces")])
def test_no_permission_is_for_everything_and_none_is_everyones(name: str) -> None:
    statement = ALLOWED[name]
    assert "NotAction" not in statement
    assert "NotResource" not in statement
    # Of all that begins like these there is the single request and its batch.
    single_and_batch = {"sqs:ChangeMessageVisibility*", "sqs:DeleteMessage*", "sqs:SendMessage*"}
    assert not [action for action in as_list(statement["Action"]) if "*" in action and action not in single_and_batch]
    assert statement.get("Principal") != "*"
    assert statement.get("Principal") != {"AWS": "*"}
    is_trust = statement["Action"] == "sts:AssumeRole"
    assert is_trust or statement["Resource"]
    for resource in as_list(statement.get("Resource", [])):
        for text in inner(resource):
            assert text != "*"
            # A wildcard stands only for what is within one named thing, such as the keys of a bucket.
            within = ("}*", "}/renditions/*", "}/thumbnails/*")
            assert not (isinstance(text, str) and "*" in text) or text.endswith(within), text


def test_what_is_in_a_bucket_is_read_and_tagged_in_the_stacks_own_account_only() -> None:
    # A bucket that is deleted frees its name, and the bucket of that name is then somebody else's.
    of_s3 = [each for each in ALLOWED.values() if any(action.startswith("s3:") for action in as_list(each["Action"]))]
    assert of_s3
    for statement in of_s3:
        assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}}


def test_only_the_stacks_own_account_tells_of_uploads() -> None:
    (rule,) = sam_template.resources("AWS::Events::Rule").values()
    assert rule["EventPattern"]["account"] == [{"Ref": "AWS::AccountId"}]


def test_no_condition_on_a_set_of_values_is_met_by_a_request_without_any() -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    conditions = [each["Condition"] for each in ALLOWED.values() if "ForAllValues:StringEquals" in str(each)]
    assert conditions
    for condition in conditions:
        keys = condition["ForAllValues:StringEquals"]
        required = {"Fn::If": ["RequiresTls", dict.fromkeys(keys, "false"), {"Ref": "AWS::NoValue"}]}
        assert condition["Null"] == required


@pytest.mark.parametrize("table", ["Ledger", "Catalog"])
def test_the_describe_function_may_look_a_whole_batch_up(table: str) -> None:
    assert "dynamodb:BatchGetItem" in ALLOWED[f"DescribeRole.{table}"]["Action"]


def test_the_describe_function_reads_single_items_of_the_ledgers_table_alone() -> None:  # such as the throttle's
    assert "dynamodb:GetItem" in ALLOWED["DescribeRole.Ledger"]["Action"]
    assert "dynamodb:GetItem" not in ALLOWED["DescribeRole.Catalog"]["Action"]


@pytest.mark.parametrize(
    ("condition", "sid"),
    [
        ("WritesTags", "WriteTheirTags"),
        ("WritesAnnotation", "AnnotateThem"),
        ("AnnotatesWithKmsKey", "EncryptAnnotations"),
        ("HasLabelsKey", "ReadTheVocabulary"),
    ],
)
def test_what_a_parameter_turns_on_is_permitted_only_then(condition: str, sid: str) -> None:
    (switched,) = [
        each["Fn::If"]
        for each in inner(RESOURCES["DescribeRole"])
        if isinstance(each, dict) and "Fn::If" in each and isinstance(each["Fn::If"][1], dict)
        if each["Fn::If"][1].get("Sid") == sid
    ]
    assert switched[0] == condition
    assert switched[2] == {"Ref": "AWS::NoValue"}


def test_no_other_function_may_tag_or_annotate() -> None:
    for action in ("s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:PutObjectAnnotation"):
        roles = {name.partition(".")[0] for name, each in ALLOWED.items() if action in as_list(each["Action"])}
        assert roles == {"DescribeRole"}


def test_the_tag_of_the_prompt_is_none_of_the_labels() -> None:
    (rule,) = sam_template.load()["Rules"]["LabelsNeedTheirTag"]["Assertions"]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PromptTagKey"}, TAG_KEY]}]}


def test_no_role_takes_a_policy_of_awss_or_sams() -> None:
    for role in ROLES.values():
        assert "ManagedPolicyArns" not in role
    for function in FUNCTIONS.values():
        assert "Policies" not in function
        assert "Fn::GetAtt" in function["Role"]


def test_every_function_has_a_role_of_its_own() -> None:
    roles = [function["Role"]["Fn::GetAtt"] for function in FUNCTIONS.values()]
    assert len(set(roles)) == len(roles)


@pytest.mark.parametrize("action", ["s3:DeleteObject", "secretsmanager:PutSecretValue"])
def test_no_function_may_do_what_none_has_to(action: str) -> None:
    assert not [name for name, each in ALLOWED.items() if action in as_list(each["Action"])]


def test_what_is_made_of_images_is_written_to_its_own_bucket_only() -> None:
    written = ALLOWED["ImagingRole.KeepWhatIsMadeOfThem"]["Resource"]
    assert written == [
        {"Fn::Sub": "${DerivedBucket.Arn}/renditions/*"},
        {"Fn::Sub": "${DerivedBucket.Arn}/thumbnails/*"},
    ]
    assert ALLOWED["DescribeRole.PresignRenditions"]["Action"] == "s3:GetObject"


def test_the_imaging_function_reads_the_same_images_as_the_describe_function() -> None:
    describe, imaging = ALLOWED["DescribeRole.ReadImages"], ALLOWED["ImagingRole.ReadImages"]
    assert imaging["Resource"] == describe["Resource"]
    assert imaging["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]


def test_the_snapshot_function_alone_scans_the_catalog_and_with_the_imaging_function_alone_writes_objects() -> None:
    of_action = {
        action: [name for name, each in ALLOWED.items() if action in as_list(each["Action"])]
        for action in ("dynamodb:Scan", "s3:PutObject")
    }
    assert of_action == {
        "dynamodb:Scan": ["SnapshotRole.ReadEveryRecord"],
        "s3:PutObject": ["ImagingRole.KeepWhatIsMadeOfThem", "SnapshotRole.KeepTheSnapshot"],
    }


def test_the_query_function_reads_and_what_it_has_made_is_thumbnails() -> None:
    actions = {
        action.partition(":")[2]
        for name, each in ALLOWED.items()
        if name.startswith("QueryRole.") and each.get("Sid") not in ("WriteLogs", "WriteTraces")
        for action in as_list(each["Action"])
    }
    reads = {"GetItem", "BatchGetItem", "Query", "GetObject", "GetObjectVersion", "ListBucket", "Decrypt"}
    assert actions == reads | {"AssumeRole", "InvokeFunction"}
    assert ALLOWED["QueryRole.MakeThumbnails"]["Resource"] == {"Fn::GetAtt": "ImagingFunction.Arn"}
    assert ALLOWED["QueryRole.ShowThumbnails"]["Resource"] == {"Fn::Sub": "${DerivedBucket.Arn}/thumbnails/*"}


def test_the_index_is_read_and_written_where_the_template_allows_it() -> None:
    for name in ("SnapshotRole.KeepTheSnapshot", "QueryRole.ReadTheSnapshot"):
        assert ALLOWED[name]["Resource"] == {"Fn::Sub": f"${{IndexBucket.Arn}}/{KEY}"}


def test_nothing_is_public_by_default() -> None:
    assert FUNCTIONS["QueryFunction"]["FunctionUrlConfig"] == {"AuthType": "AWS_IAM"}
    assert sam_template.load()["Parameters"]["JwtIssuer"]["Default"] == ""
    of_http_api = [each for each in RESOURCES.values() if each["Type"].startswith("AWS::ApiGatewayV2::")]
    assert len(of_http_api) == 7
    assert all(each["Condition"] == "HasJwtIssuer" for each in of_http_api)
    routes = sam_template.resources("AWS::ApiGatewayV2::Route").values()
    assert {route["RouteKey"]: route["AuthorizationType"] for route in routes} == {
        "GET /{proxy+}": "JWT",
        "GET /gallery": "NONE",  # the page itself, which holds nothing that is anybody's
        "GET /gallery/{file}": "NONE",
    }


# ── Numbers that hang together ───────────────────────────────────────────────────────────────────────────────────────


def queues_of(function: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The queues that a function is invoked by."""
    for event in function.get("Events", {}).values():
        if event["Type"] == "SQS":
            yield QUEUES[event["Properties"]["Queue"]["Fn::GetAtt"].partition(".")[0]]


def test_a_message_stays_unseen_for_six_times_as_long_as_its_function_may_run() -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    pairs = [(function, queue) for function in FUNCTIONS.values() for queue in queues_of(function)]
    assert pairs
    for function, queue in pairs:
        assert queue["VisibilityTimeout"] == 6 * function["Timeout"]


def test_a_message_that_waits_is_sent_afresh_long_before_sqs_gives_it_up() -> None:
    for function in FUNCTIONS.values():
        for queue in queues_of(function):
            assert queue["RedrivePolicy"]["maxReceiveCount"] == 2 * RECEIVES_BEFORE_REQUEUE


def test_every_queue_keeps_messages_for_as_long_as_sqs_can() -> None:
    assert {queue["MessageRetentionPeriod"] for queue in QUEUES.values()} == {14 * 86_400}


def test_every_function_that_a_queue_invokes_tells_which_messages_failed() -> None:
    events = [event for function in FUNCTIONS.values() for event in function.get("Events", {}).values()]
    uploads = [event["Properties"] for event in events if event["Type"] == "SQS"]
    assert uploads
    assert all(each["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for each in uploads)


def test_a_run_of_a_schedule_that_fails_is_left_to_the_next_one() -> None:
    for function in FUNCTIONS.values():
        if any(event["Type"] == "Schedule" for event in function.get("Events", {}).values()):
            assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


# ── What is told to the functions ────────────────────────────────────────────────────────────────────────────────────


class Noting(dict[str, str]):
    """An environment that has everything, and notes what was asked for."""

    def __missing__(self, name: str) -> str:
        self[name] = "needed" if name == "IMAGESCRIBE_RENDITIONS" else "1"
        return self[name]


def test_the_template_tells_the_functions_what_settings_reads_and_nothing_else() -> None:
    read = Noting()
    Settings.from_environment(read)
    told = sam_template.load()["Globals"]["Function"]["Environment"]["Variables"]
    assert set(told) == set(read) | {"POWERTOOLS_SERVICE_NAME"}  # which Powertools reads


def test_every_variable_that_one_function_alone_is_told_is_read_in_its_handler() -> None:
    for function in FUNCTIONS.values():
        package = ROOT / function.get("CodeUri", "functions")
        handler = package.joinpath(*function["Handler"].split(".")[:-1]).with_suffix(".py").read_text(encoding="utf-8")
        for variable in function.get("Environment", {}).get("Variables", {}):
            assert f'"{variable}"' in handler


def test_every_parameter_is_used_and_explained() -> None:
    template = sam_template.load()
    body = {name: part for name, part in template.items() if name not in {"Parameters", "Metadata"}}
    used = {each["Ref"] for each in inner(body) if isinstance(each, dict) and "Ref" in each}
    # Fn::Sub takes parameters within its text.
    used |= {name for each in inner(body) if isinstance(each, str) for name in re.findall(r"\$\{(\w+)\}", each)}
    assert set(template["Parameters"]) - used == set()
    assert all(parameter["Description"] for parameter in template["Parameters"].values())


# ── What must not be lost or seen ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table"])
def test_what_holds_data_stays_when_the_stack_goes(kind: str) -> None:
    found = [resource for resource in RESOURCES.values() if resource["Type"] == kind]
    assert found
    assert all(each["DeletionPolicy"] == each["UpdateReplacePolicy"] == "Retain" for each in found)


def test_everything_is_encrypted_at_rest() -> None:
    nothing = {"Ref": "AWS::NoValue"}
    own_key = {"Fn::If": ["HasOwnKey", {"Ref": "KmsKeyArn"}, nothing]}
    for queue in QUEUES.values():
        assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasOwnKey", nothing, True]}
        assert queue["KmsMasterKeyId"] == own_key
    for table in TABLES.values():
        assert table["SSESpecification"]["SSEEnabled"] is True
        assert table["SSESpecification"]["KMSMasterKeyId"] == own_key
    for kind in ("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret"):
        assert all(each["KmsKeyId"] == own_key for each in sam_template.resources(kind).values())
    assert all("BucketEncryption" in bucket for bucket in sam_template.resources("AWS::S3::Bucket").values())


def test_every_role_is_bounded_where_the_account_asks_for_it() -> None:
    roles = sam_template.resources("AWS::IAM::Role")
    assert len(roles) == len(sam_template.resources("AWS::Serverless::Function"))
    boundary = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    assert all(role["PermissionsBoundary"] == boundary for role in roles.values())


BUCKETS = sam_template.resources("AWS::S3::Bucket")


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_nobody_elses_to_see(name: str) -> None:
    bucket = BUCKETS[name]
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert all(value is True for value in bucket["PublicAccessBlockConfiguration"].values())


@pytest.mark.parametrize("name", [name for name in BUCKETS if name != "DerivedBucket"])  # where no upload has parts
def test_the_parts_of_an_upload_that_never_ended_do_not_stay(name: str) -> None:
    bucket = BUCKETS[name]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert not {name for name in rule if "Expiration" in name or "Transition" in name}  # no picture is ever touched


def test_what_is_made_of_images_expires_by_itself() -> None:
    rules = sam_template.resources("AWS::S3::Bucket")["DerivedBucket"]["LifecycleConfiguration"]["Rules"]
    assert {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules} == {"renditions/": 1, "thumbnails/": 30}
    assert {rule["Status"] for rule in rules} == {"Enabled"}


def test_what_is_not_encrypted_is_refused_unless_an_operator_says_otherwise() -> None:
    parameters = sam_template.load()["Parameters"]
    assert parameters["RequireTls"]["Default"] == "true"
    refusals = {name for name, each in STATEMENTS.items() if each["Effect"] == "Deny"}
    policies = {"BucketPolicy", "QueuePolicy", "IndexBucketPolicy", "DerivedBucketPolicy"}
    assert refusals == {f"{each}.TlsOnly" for each in policies}
    for name in refusals:
        assert STATEMENTS[name]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_logs_are_kept_for_as_long_as_the_operator_says() -> None:
    for function in FUNCTIONS.values():
        group = RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_api_key_is_no_parameter_and_no_variable() -> None:
    secrets = sam_template.resources("AWS::SecretsManager::Secret")
    assert secrets
    assert all("SecretString" not in secret for secret in secrets.values())
    assert not [name for name in sam_template.load()["Parameters"] if "key" in name.lower() and "api" in name.lower()]


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def test_the_runtime_is_the_python_that_the_tests_run_with() -> None:
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert sam_template.load()["Globals"]["Function"]["Runtime"] == f"python{version}"


def test_the_stack_tells_the_version_of_the_project() -> None:
    assert sam_template.load()["Outputs"]["Version"]["Value"] == read_toml("pyproject.toml")["project"]["version"]

CREATE DATABASE IF NOT EXISTS imagescribe;

-- The same table over JSON Lines (`imagescribe export -o images.jsonl`). What a record lacks is empty; times are text.
CREATE EXTERNAL TABLE IF NOT EXISTS imagescribe.images (
  `image` string,
  `bucket` string,
  `key` string,
  `status` string,
  `prompt` string,
  `tags` string,
  `attempts` bigint,
  `error` string,
  `etag` string,
  `version_id` string,
  `size` bigint,
  `sequencer` string,
  `uploaded_at` string,
  `described_at` string,
  `updated_at` string,
  `waiting_until` string,
  `model` string,
  `rendered_from` string,
  `labels` array<string>,
  `annotation` string,
  `job` string
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/imagescribe/images/';

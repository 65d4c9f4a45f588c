CREATE DATABASE IF NOT EXISTS imagescribe;

-- The table, over every Parquet file in the folder. Times are in UTC; what a record lacks is null.
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
  `uploaded_at` timestamp,
  `described_at` timestamp,
  `updated_at` timestamp,
  `waiting_until` timestamp,
  `model` string,
  `rendered_from` string,
  `labels` array<string>,
  `annotation` string,
  `job` string
)
STORED AS PARQUET
LOCATION 's3://BUCKET/imagescribe/images/';

-- Of each image its newest record, where several exports lie side by side.
CREATE OR REPLACE VIEW imagescribe.current_images AS
SELECT *
FROM (SELECT *, row_number() OVER (PARTITION BY image ORDER BY updated_at DESC) AS place FROM imagescribe.images) AS numbered
WHERE place = 1;

-- Which pictures have these words in their prompts? The newest first.
SELECT image, described_at, prompt
FROM imagescribe.current_images
WHERE status = 'described' AND lower(prompt) LIKE '%red%' AND lower(prompt) LIKE '%boat%'
ORDER BY described_at DESC
LIMIT 20;

-- How many were described a day, and by which model?
SELECT date_trunc('day', described_at) AS day, model, count(*) AS images
FROM imagescribe.current_images
WHERE status = 'described'
GROUP BY date_trunc('day', described_at), model
ORDER BY day DESC, images DESC;

-- How many have each label?
SELECT label, count(*) AS images
FROM imagescribe.current_images CROSS JOIN UNNEST(labels) AS each (label)
GROUP BY label
ORDER BY images DESC, label;

-- What has no prompt, and why?
SELECT status, error, count(*) AS images
FROM imagescribe.current_images
WHERE prompt IS NULL
GROUP BY status, error
ORDER BY images DESC;

# What lies between a bucket and Stocktake: the same as `stocktake connect --bucket B --print terraform` prints.

locals {
  arn     = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket}"
  objects = "${local.arn}/${var.prefix}*"
  events  = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*", "s3:LifecycleTransition"]
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-dead"
  message_retention_seconds = 1209600
  kms_master_key_id         = var.kms_key_arn
}

# Two weeks, the longest there is: events of a longer outage are lost, and found by the next listing.
resource "aws_sqs_queue" "events" {
  name                       = var.name
  message_retention_seconds  = 1209600
  max_message_size           = 262144
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 30
  kms_master_key_id          = var.kms_key_arn

  # Many: while Postgres is away, each receive counts.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = 1000
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn]
  })
}

# Only S3 may send, and only what happens in this bucket of this account: nobody forges an event.
data "aws_iam_policy_document" "send" {
  statement {
    sid       = "Stocktake"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events.arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [local.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy    = data.aws_iam_policy_document.send.json
}

resource "aws_s3_bucket_notification" "events" {
  count = var.manage_notification ? 1 : 0

  bucket = var.bucket

  queue {
    id            = "stocktake"
    queue_arn     = aws_sqs_queue.events.arn
    events        = local.events
    filter_prefix = var.prefix
  }

  # S3 tries whether it may send when the configuration is saved.
  depends_on = [aws_sqs_queue_policy.events]
}

# What the daemon's role may do: the same as `stocktake policy --bucket B --only permissions` prints, without the doctor's.
data "aws_iam_policy_document" "daemon" {
  statement {
    sid       = "List"
    actions   = ["s3:ListBucketVersions"]
    resources = [local.arn]

    dynamic "condition" {
      for_each = var.prefix == "" ? [] : [var.prefix]

      content {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = ["${condition.value}*"]
      }
    }
  }

  statement {
    sid       = "State"
    actions   = ["s3:GetBucketLocation", "s3:GetBucketNotification", "s3:GetBucketVersioning"]
    resources = [local.arn]
  }

  # Without it, a key that is not there looks forbidden.
  dynamic "statement" {
    for_each = contains(var.enrich, "head") ? [1] : []

    content {
      sid       = "Absence"
      actions   = ["s3:ListBucket"]
      resources = [local.arn]

      dynamic "condition" {
        for_each = var.prefix == "" ? [] : [var.prefix]

        content {
          test     = "StringLike"
          variable = "s3:prefix"
          values   = ["${condition.value}*"]
        }
      }
    }
  }

  dynamic "statement" {
    for_each = contains(var.enrich, "head") ? [1] : []

    content {
      sid       = "Heads"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = [local.objects]
    }
  }

  dynamic "statement" {
    for_each = contains(var.enrich, "tags") ? [1] : []

    content {
      sid       = "Tags"
      actions   = ["s3:GetObjectTagging", "s3:GetObjectVersionTagging"]
      resources = [local.objects]
    }
  }

  statement {
    sid       = "Receive"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events.arn]
  }

  statement {
    sid       = "LookAtDeadLetters"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.dead.arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "Messages"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

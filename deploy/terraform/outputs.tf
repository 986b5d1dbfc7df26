output "queue_url" {
  description = "For [[queue]] of the configuration."
  value       = aws_sqs_queue.events.url
}

output "policy" {
  description = "What the role, user or task that the daemon runs as must be allowed, as JSON."
  value       = data.aws_iam_policy_document.daemon.json
}

output "notification" {
  description = "The entry for a notification configuration that is made elsewhere."
  value = {
    id            = "stocktake"
    queue_arn     = aws_sqs_queue.events.arn
    events        = local.events
    filter_prefix = var.prefix
  }
}

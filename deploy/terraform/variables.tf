variable "bucket" {
  description = "The bucket that is to be mirrored. It must be in the region of the provider."
  type        = string
}

variable "prefix" {
  description = "Only what is below this; it ends in a slash. Empty for the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.prefix == "" || endswith(var.prefix, "/")
    error_message = "A prefix ends in a slash, as bucket.prefix of the configuration does."
  }
}

variable "name" {
  description = "What the queue is called; its dead-letter queue is called the same with -dead."
  type        = string
  default     = "stocktake"
}

variable "kms_key_arn" {
  description = "A key of your own to encrypt messages with; its policy must let S3 use it. Without one SQS uses a key of its own."
  type        = string
  default     = null
}

variable "enrich" {
  description = "What the configuration asks of each version that is created: head, tags, or both."
  type        = list(string)
  default     = []
}

variable "manage_notification" {
  description = "Whether the bucket's notification configuration is made here. It is a whole: set this to false where another module has it, and add the output notification there."
  type        = bool
  default     = true
}

//! A queue at SQS.

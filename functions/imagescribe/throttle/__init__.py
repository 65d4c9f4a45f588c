"""Permission to make paid calls: rate, circuit breaker and budget, in one item of DynamoDB behind one door."""

from imagescribe.throttle.throttle import Permit, RetryAt, Throttle, ThrottleBusyError

__all__ = ["Permit", "RetryAt", "Throttle", "ThrottleBusyError"]

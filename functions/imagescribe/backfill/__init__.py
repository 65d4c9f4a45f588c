"""What was in the bucket before: jobs that list it and send what is not described to a queue of their own."""

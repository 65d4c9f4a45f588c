"""One module for each Lambda function: parse the event, call one function, answer."""

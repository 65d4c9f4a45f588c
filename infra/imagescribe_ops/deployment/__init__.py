"""Building the template, deploying it by a change set that a person has seen, and taking a stack away again."""

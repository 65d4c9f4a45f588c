"""The dashboard, drawn with what a run on the local stack measured."""

"""Speed and cost of the deployed stack, beside what people would deploy otherwise."""

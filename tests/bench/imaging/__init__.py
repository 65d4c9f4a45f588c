"""What hostile and large pictures cost the imaging function."""

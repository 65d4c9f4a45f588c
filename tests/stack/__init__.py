"""Tests of the deployed template, on the emulator and with the endpoint's simulator."""

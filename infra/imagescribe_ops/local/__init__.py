"""The whole stack on this machine: the emulator, the deployment, the demo."""

"""What the public functions of pinn_ext are made of; nothing here is part of the interface."""

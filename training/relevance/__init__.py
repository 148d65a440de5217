"""How likely it is that what is listed is bought: learned on the validation slice that settings are chosen on."""

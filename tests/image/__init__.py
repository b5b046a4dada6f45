"""The image, as far as it can be shown without an engine that builds images: its instructions, carried out here."""

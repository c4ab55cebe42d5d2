"""`related-pins serve` with an extractor that costs nothing."""

import features.serve.commands
import related_pins
from tests.quick_visuals import quick_extractor

if __name__ == "__main__":
    features.serve.commands.visual_extractor = lambda *_: quick_extractor()
    related_pins.main()

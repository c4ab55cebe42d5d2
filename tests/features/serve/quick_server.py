"""`related-pins serve` with an extractor that costs nothing."""

import features.serve.commands
import related_pins
from tests.features.serve.served import extractor

if __name__ == "__main__":
    features.serve.commands.visual_extractor = lambda *_: extractor()
    related_pins.main()

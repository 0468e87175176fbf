"""``python -m keras_tnt`` is ``keras-tnt``."""

import sys

from keras_tnt.cli import main

sys.exit(main())

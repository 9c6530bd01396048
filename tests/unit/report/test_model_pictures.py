"""Pictures of the model card: PNGs, small enough to travel with an event."""

from datetime import date, timedelta

import numpy as np

from cvm_pipeline.report import model_pictures

PNG = b"\x89PNG\r\n\x1a\n"
CUT = date(1997, 9, 30)


def test_each_picture_is_a_small_png() -> None:
    days = [CUT + timedelta(days=n) for n in range(100)]
    rising = np.linspace(0.0, 900.0, 100)
    pictures = [
        model_pictures.calibration([(n / 10, n / 9) for n in range(10)], "average", CUT, 273),
        model_pictures.tracking(days, rising, rising * 0.9, "bg_nbd", CUT),
        model_pictures.pit_histogram(np.linspace(0.0, 1.0, 500), "average"),
        model_pictures.pit_histogram(np.zeros(0), "average"),
    ]
    for picture in pictures:
        assert picture.startswith(PNG) and 3_000 < len(picture) < 200_000

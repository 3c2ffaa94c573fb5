"""Text as a hole."""

from service.imaging import lettering


def test_text_covers_the_picture_and_leaves_something() -> None:
    letters = lettering(300, 200, "restore ", 16)
    assert letters.shape == (200, 300)
    assert 0.05 < letters.mean() < 0.5
    assert letters[:32].any() and letters[-40:].any() and letters[:, :60].any() and letters[:, -60:].any()
    assert (lettering(300, 200, "restore ", 16) == letters).all()
    assert lettering(300, 200, "restore ", 40).sum(axis=0).max() >= letters.sum(axis=0).max() / 2


def test_letters_without_width_end() -> None:
    assert lettering(5000, 64, "\u200b" * 200, 8).shape == (64, 5000)
    assert not lettering(64, 64, " ", 8).any()

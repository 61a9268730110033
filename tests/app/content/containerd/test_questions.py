"""Questions about what has landed, to a stand-in for containerd's API that answers as the test says."""

import gevent

from app.content.containerd.questions import LandingQuestions
from app.content.inventory import Content
from app.content.store import NotFound
from app.key import Digest

DIGEST = Digest.of(b"x")
LABELLED = Content(1, frozenset({("r.test", "a")}))


class ScriptedApi:
    """Answers `content` from a list, in order; None is "not found"."""

    def __init__(self, *answers: Content | None) -> None:
        self.answers = list(answers)
        self.questions: LandingQuestions | None = None
        self.cancels_while_asked = False

    def content(self, digest: Digest) -> Content:
        answer = self.answers.pop(0)
        if self.cancels_while_asked and self.questions is not None:
            self.questions.cancel(digest)
        if answer is None:
            raise NotFound(str(digest))
        return answer


def _ask(api: ScriptedApi, enough: int) -> list[Content]:
    """What was found until all answers were given or `enough` was found."""
    found: list[Content] = []
    questions = LandingQuestions(api, lambda digest, content: found.append(content))
    api.questions = questions
    greenlet = gevent.spawn(questions.answer_all)
    assert questions.ask(DIGEST)
    with gevent.Timeout(10):
        while api.answers and len(found) < enough:
            gevent.idle()
    greenlet.kill()
    return found


def test_asked_until_known() -> None:
    """A blob that the database does not know yet is asked about until it does, and its labels are there."""
    api = ScriptedApi(None, None, Content(1), LABELLED, Content(99))
    assert _ask(api, 2) == [Content(1), LABELLED]
    assert api.answers == [Content(99)]


def test_cancelled_while_asked() -> None:
    """An answer about what went meanwhile is nobody's news."""
    api = ScriptedApi(LABELLED)
    api.cancels_while_asked = True
    assert _ask(api, 1) == []

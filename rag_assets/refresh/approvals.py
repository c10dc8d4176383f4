"""Refusals that wait for an approval, and the end of an approval.

The ledger remembers each refused set, so that `rag-assets approve` can name it. An approval ends with the refresh that uses
it, with a failed gate, and when its set is refused no more: the files have returned, or another set is missing.
"""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rag_assets.changes.change_set import Change
from rag_assets.changes.deletion_history import PastDeletion
from rag_assets.changes.outages import FailedParts
from rag_assets.errors import ApprovalNeeded, ConfigurationError, DeletionRefused, RefusedError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Ledger
from rag_assets.records import Outage, Refusal, RefusalKind
from rag_assets.refresh.decision import Decision, check_deletions
from rag_assets.refresh.lost_approvals import in_words, lost_approval
from rag_assets.refresh.model_check import check_rebuild
from rag_assets.text.control_characters import quoted
from rag_assets.text.wording import counted

_TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Admission:
    """A decision that may be carried out.

    Attributes:
        tokens: approvals used by it.
        history: deletions of the last hours, for the manifest of the candidate.
        deleted: ids of documents with an approved deletion.
    """

    tokens: Sequence[str]
    history: Sequence[PastDeletion]
    deleted: Sequence[str] = ()


def admit(knowledge_base: KnowledgeBase, decision: Decision, complete_sources: Set[str]) -> Admission:
    """Check deletions and rebuild, and remember what is refused.

    Args:
        complete_sources: as in `decide_changes`.

    Raises:
        DeletionRefused, RebuildRefused: without an approval.
        RefusedError: a token given for this run fits nothing.
    """
    ledger = knowledge_base.ledger
    tokens = [outage.token for outage in decision.admitted]
    given = knowledge_base.given_tokens.difference(tokens)
    try:
        deletions = check_deletions(knowledge_base, decision)
        remember(ledger, "deletion", (), {deletions.token}, complete_sources)
        rebuild = check_rebuild(knowledge_base, decision)
        remember(ledger, "rebuild", (), {rebuild}, complete_sources)
    except ApprovalNeeded as error:
        refusal = refusal_from(error)
        new = remember(ledger, refusal.kind, [refusal], {refusal.token}, complete_sources)
        error.is_repeated = not new
        if lost := lost_approval(knowledge_base, error.token):
            error.args = (f"{error} {in_words(lost)}.",)
        if given:
            error.args = (f"{error} The token {min(given)} of this run fits no refusal.",)
        raise
    used = [*tokens, *filter(None, (deletions.token, rebuild))]
    if unknown := given.difference(used):
        raise RefusedError(unknown_token(min(unknown)))
    admitted = FailedParts(decision.admitted)
    deleted = [
        change.document_id
        for change in decision.changes
        if change.change is Change.DELETED and (deletions.token or admitted.contain(change.location))
    ]
    return Admission(used, deletions.history, deleted)


def parsed_token(text: str) -> str:
    """Return a token as typed by a person.

    Raises:
        ConfigurationError: it is none.
    """
    token = text.strip().lower()
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"{quoted(text)} is not a token: copy the 16 hexadecimal digits from the message of the refusal"
        )
    return token


def unknown_token(token: str) -> str:
    """Return the message for a token without a refusal."""
    return (
        f"no refusal has the token {token}: it was used, its documents are back, or others are missing now. "
        "`rag-assets plan` shows the token of the next refresh"
    )


@dataclass(frozen=True, slots=True)
class Approvals:
    """The approvals of a refresh.

    Attributes:
        needed: what `admit` would refuse.
        used: tokens of the approvals that it would use.
    """

    needed: Sequence[ApprovalNeeded]
    used: Set[str]


def approvals_of(knowledge_base: KnowledgeBase, decision: Decision) -> Approvals:
    """Return what `admit` would do, without remembering it."""
    needed: list[ApprovalNeeded] = []
    used = {outage.token for outage in decision.admitted}
    try:
        used.add(check_deletions(knowledge_base, decision).token)
    except ApprovalNeeded as error:
        needed.append(error)
    try:
        used.add(check_rebuild(knowledge_base, decision))
    except ApprovalNeeded as error:
        needed.append(error)
    return Approvals(needed, used - {""})


def remember_outages(ledger: Ledger, outages: Iterable[Outage], complete_sources: Set[str]) -> None:
    """Remember the documents kept in outages.

    Args:
        outages: all of one reading, also admitted ones.
        complete_sources: the sources listed to the end.
    """
    outages = [outage for outage in outages if outage.token]
    refusals = [refusal_of(outage) for outage in outages if not outage.is_admitted]
    remember(ledger, "outage", refusals, {outage.token for outage in outages}, complete_sources)


def refusal_from(error: ApprovalNeeded) -> Refusal:
    """Return the refusal of deletions or of a rebuild."""
    kind = "deletion" if isinstance(error, DeletionRefused) else "rebuild"
    return Refusal(error.token, kind, error.subject, error.sources, error.examples)


def refusal_of(outage: Outage) -> Refusal:
    """Return the refusal of an outage with kept documents."""
    kept = counted(outage.num_kept, "document")
    return Refusal(
        token=outage.token,
        kind="outage",
        subject=f"the loss of {kept} (source {outage.source}, {outage.place}: {outage.problem})",
        sources=(outage.source,),
    )


def remember(
    ledger: Ledger,
    kind: RefusalKind,
    refused: Sequence[Refusal],
    pending: Set[str],
    complete_sources: Set[str],
) -> bool:
    """Remember refusals, and end earlier ones of this kind with their approvals if nothing refuses them any more.

    A set stays while one of its sources could not be read: then it is unknown whether the files have returned.

    Args:
        pending: tokens of all sets that are refused, or admitted by an approval.

    Returns:
        Whether one of them is new.
    """
    known = ledger.refusals()
    ended = [
        token
        for token, refusal in known.items()
        if refusal.kind == kind and token not in pending and complete_sources >= set(refusal.sources)
    ]
    if ended:
        ledger.end_approvals(ended)
    new = [refusal for refusal in refused if refusal.token not in known]
    if new:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ledger.put_refusals([replace(refusal, refused_at=now) for refusal in new])
    return bool(new)

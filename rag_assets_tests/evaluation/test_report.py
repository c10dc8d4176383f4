from dataclasses import replace

from rag_assets.evaluation.report import verdict_data_version
from rag_assets_tests.reports import passing_report


def test_the_version_of_a_report_depends_on_its_answers_and_not_on_latencies() -> None:
    report = passing_report("g1", "ab")
    slower = tuple(replace(result, latency_seconds=9) for result in report.queries)
    assert verdict_data_version(replace(report, queries=slower)) == verdict_data_version(report)
    others = [
        replace(report, digest="cd"),
        replace(report, verdict_configuration={"benchmark": "another"}),
        replace(report, problems=("bad",)),
        replace(report, queries=(replace(report.queries[0], retrieved=("filesystem:z",)),)),
        replace(report, queries=(replace(report.queries[0], missing_docs=("b",)),)),
    ]
    versions = {verdict_data_version(other) for other in [report, *others]}
    assert len(versions) == 6

import json
import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.records import SparseVector

# Pairs of documents, and a question answered only by the first.
JAPANESE = [
    ("年次有給休暇は入社六か月後に十日間付与されます。", "有給休暇"),
    ("出張旅費の精算は帰着後五営業日以内に申請してください。", "出張旅費 精算"),
    ("契約の更新は満了日の三十日前までに通知します。", "契約 更新"),
    ("情報セキュリティ事故は発見後直ちに報告窓口へ連絡すること。", "事故 報告"),
    ("個人情報を含む文書は七年間保管した後に廃棄します。", "文書 廃棄"),
    ("在宅勤務の申請は上司の承認が必要です。", "在宅勤務"),
    ("東京本社の会議室は予約システムから予約できます。", "会議室予約"),
    ("製品の保証期間は購入日から二年間です。", "保証期間"),
    ("健康診断は毎年四月に実施されます。", "健康診断"),
    ("天気予報によると明日は雨です。", "天気"),
    ("猫を飼う場合は管理組合の許可が要ります。", "猫"),
    ("データベースのバックアップは毎晩行われます。", "バックアップ"),
    ("パスワードは十二文字以上にしてください。", "パスワード 文字数"),
    ("退職の届け出は一か月前までに提出します。", "退職届"),
    ("育児休業は子が一歳になるまで取得できます。", "育児休業"),
    ("交通費は実費を支給します。", "交通費"),
]
CHINESE = [
    ("员工每年享有十天带薪年假。", "带薪年假"),
    ("出差费用应在返回后五个工作日内报销。", "出差 报销"),
    ("合同到期前三十天通知续签。", "合同续签"),
    ("发现安全事件后必须立即报告。", "安全事件 报告"),
    ("含有个人信息的文件保存七年后销毁。", "文件销毁"),
    ("居家办公需要经理批准。", "居家办公"),
    ("会议室可通过预订系统预订。", "预订会议室"),
    ("产品保修期为购买之日起两年。", "保修期"),
    ("公司每年四月安排体检。", "体检"),
    ("数据库每晚备份一次。", "备份"),
    ("密码长度至少为十二个字符。", "密码长度"),
    ("我们今天去北京旅游。", "北京旅游"),
    ("天气预报说明天有雨。", "天气"),
    ("请在离职前一个月提交申请。", "离职申请"),
    ("育婴假可以休到孩子一岁。", "育婴假"),
    ("交通费按实际金额发放。", "交通费"),
]
KOREAN = [
    ("연차 휴가는 입사 후 열흘이 부여됩니다.", "휴가"),
    ("출장비는 오일 이내에 정산해야 합니다.", "출장비 정산"),
    ("비밀번호는 열두 글자 이상이어야 합니다.", "비밀번호"),
    ("회의실은 예약 시스템에서 예약할 수 있습니다.", "회의실 예약"),
    ("제품 보증 기간은 이년입니다.", "보증 기간"),
    ("건강검진은 매년 사월에 실시합니다.", "건강검진"),
    ("계약의 갱신은 만료 전에 통지합니다.", "계약 갱신"),
    ("교통비는 실비로 지급합니다.", "교통비"),
    ("재택근무는 상사의 승인이 필요합니다.", "재택근무 승인"),
    ("데이터베이스는 매일 밤 백업됩니다.", "백업"),
]
THAI = [
    ("พนักงานมีสิทธิลาพักร้อนสิบวันต่อปี", "ลาพักร้อน"),
    ("รหัสผ่านต้องมีอย่างน้อยสิบสองตัวอักษร", "รหัสผ่าน"),
    ("ห้องประชุมจองได้ผ่านระบบ", "จองห้องประชุม"),
    ("ค่าเดินทางจ่ายตามจริง", "ค่าเดินทาง"),
    ("สัญญาต่ออายุก่อนหมดอายุ", "ต่ออายุสัญญา"),
]
ALL_DOCUMENTS = [document for pairs in (JAPANESE, CHINESE, KOREAN, THAI) for document, _ in pairs]


@pytest.fixture(scope="module")
def encoder() -> Bm25Encoder:
    return Bm25Encoder()


def scores(encoder: Bm25Encoder, question: str, documents: list[str]) -> list[float]:
    """Score like the store: the weight of the question, times that of the document, times the IDF."""
    vectors = [encoder.encode_document(document) for document in documents]
    frequency = Counter(index for vector in vectors for index in vector.indices)
    query = encoder.encode_query(question)

    def idf(index: int) -> float:
        return math.log(1 + (len(vectors) - frequency[index] + 0.5) / (frequency[index] + 0.5))

    return [
        sum(
            weight * values[index] * idf(index)
            for index, weight in zip(query.indices, query.values, strict=True)
            if index in values
        )
        for values in (dict(zip(vector.indices, vector.values, strict=True)) for vector in vectors)
    ]


@pytest.mark.parametrize("pairs", [JAPANESE, CHINESE, KOREAN, THAI], ids=["ja", "zh", "ko", "th"])
def test_scripts_without_spaces_are_found(encoder: Bm25Encoder, pairs: list[tuple[str, str]]):
    for document, question in pairs:
        found = scores(encoder, question, ALL_DOCUMENTS)
        best = max(found)
        assert best > 0, question
        assert [ALL_DOCUMENTS[i] for i, score in enumerate(found) if score == best] == [document]


def test_rare_words_outweigh_frequent_ones(encoder: Bm25Encoder):
    documents = ["The hotel budget", "The hotel minibar is not reimbursed", "hotel hotel hotel", "train"]
    found = scores(encoder, "who pays the hotel minibar?", documents)
    assert found.index(max(found)) == 1
    assert found[3] == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("café", "cafe"),
        ("cafe\u0301", "café"),
        ("ＡＢＣ１２３", "abc123"),
        ("ﬁle", "file"),
        ("Zürich", "ZURICH"),
        ("running", "runs"),
        ("ｶﾀｶﾅ", "カタカナ"),
    ],
)
def test_spellings_of_one_word_meet(encoder: Bm25Encoder, one: str, other: str):
    assert encoder.encode_document(one).indices == encoder.encode_document(other).indices
    assert encoder.encode_query(one) == encoder.encode_query(other)
    assert encoder.encode_query(one).indices != ()
    assert set(encoder.encode_query(one).indices) <= set(encoder.encode_document(other).indices)


def test_identifiers_are_found_by_their_parts(encoder: Bm25Encoder):
    document = set(encoder.encode_document("Error ERR-404 in module foo_bar, see ISO 27001.").indices)
    for question in ("ERR-404", "err 404", "foo_bar", "27001"):
        assert set(encoder.encode_query(question).indices) <= document, question


@given(text=st.text(st.characters(exclude_categories=()), max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_has_ascending_unique_indices_and_positive_weights(encoder: Bm25Encoder, text: str):
    document, query = encoder.encode_document(text), encoder.encode_query(text)
    for vector in (document, query):
        assert len(vector.indices) == len(vector.values)
        assert all(a < b for a, b in pairwise(vector.indices))
        assert all(0 <= index < 2**32 for index in vector.indices)
        assert all(math.isfinite(value) and value > 0 for value in vector.values)
    assert set(query.values) <= {1.0}
    assert set(query.indices) <= set(document.indices)
    assert Bm25Encoder().encode_document(text) == document


def test_stop_words_and_punctuation_alone_give_nothing(encoder: Bm25Encoder):
    for text in ("", " ", "the and of", "?!", "\ud800"):
        assert encoder.encode_document(text) == encoder.encode_query(text) == SparseVector((), ())


def test_the_settings_pin_what_is_computed(encoder: Bm25Encoder):
    assert json.loads(json.dumps(encoder.settings)) == {
        "k": 1.2,
        "b": 0.75,
        "avg_len": 256.0,
        "language": "english",
        "tokenizer": "word",
        "lowercase": True,
        "ascii_folding": True,
        "unicode": "NFKC",
        "unspaced_scripts": "pairs",
    }
    # tf (k + 1) / (tf + k (1 - b + b length / avg_len)), for one word out of four
    length_part = 1.2 * (1 - 0.75 + 0.75 * 4 / 256)
    vector = encoder.encode_document("hotel hotel hotel budget")
    assert sorted(vector.values) == pytest.approx(
        sorted([3 * 2.2 / (3 + length_part), 1 * 2.2 / (1 + length_part)]), rel=1e-5
    )


def test_indices_are_sorted_in_any_order_of_the_library():
    class Vector:
        indices = (30, 10, 20)
        values = (3.0, 1.0, 2.0)

    class Model:
        def embed_document(self, text: str) -> Vector:
            return Vector()

    encoder = Bm25Encoder()
    encoder._model = Model()
    assert encoder.encode_document("x") == SparseVector((10, 20, 30), (1.0, 2.0, 3.0))


def test_known_indices_have_not_moved(encoder: Bm25Encoder):
    """With another hash in the library, no stored generation could be searched, without any error."""
    assert encoder.encode_query("cafe").indices == (1230453951,)
    assert encoder.encode_query("北京").indices == (666955079,)

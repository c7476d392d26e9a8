#include "data/samples/layout.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "data/sample_data.h"

namespace rk {
namespace {

using testing_support::counting;
using testing_support::Documents;
using testing_support::refusal_of;
using testing_support::Row;
using testing_support::TemporaryFolder;

class LayoutTest : public testing::Test {
 protected:
  SharedTokens data(const Documents& documents) {
    const std::string prefix = folder_.path(cat("data", n_++));
    testing_support::write_documents(prefix, documents);
    return open_binidx_tokens(prefix, false);
  }
  static Row filled(const Layout& layout, int64_t index, int64_t ctx_len) {
    Row row(ctx_len);
    row.offset = layout.fill(index, row.row());
    return row;
  }
  TemporaryFolder folder_;
  int n_ = 0;
};

std::vector<int64_t> random_sizes(int64_t n, int64_t most, uint64_t seed) {
  std::vector<int64_t> sizes;
  const Random random(seed, 1);
  for (int64_t i = 0; i < n; ++i)
    sizes.push_back(static_cast<int64_t>(random.uniform(static_cast<uint64_t>(i)) * static_cast<double>(most + 1)));
  return sizes;
}

// Every (token, next token) of a document is one (input, target), and nothing else is.
TEST_F(LayoutTest, PackedRowsHoldEveryDocumentOnce) {
  for (const int64_t ctx_len : {1, 2, 7, 16, 100}) {
    for (const bool alone : {false, true}) {
      const Documents documents = counting(random_sizes(60, 40, static_cast<uint64_t>(ctx_len)));
      const auto tokens = data(documents);
      const auto layout = make_pack_layout(tokens, {.ctx_len = ctx_len, .doc_reset = true}, alone);
      std::map<int32_t, int32_t> next;
      for (const auto& document : documents)
        for (size_t i = 1; i < document.size(); ++i) next[document[i - 1]] = document[i];
      int64_t pairs = 0;
      for (int64_t index = 0; index < layout->n_rows(); ++index) {
        const Row row = filled(*layout, index, ctx_len);
        EXPECT_EQ(row.resets[0], 1);
        for (size_t i = 0; i < row.tokens.size(); ++i) {
          EXPECT_EQ(row.weights[i] != 0, row.targets[i] != -100);
          const bool in_document = i > 0 && row.tokens[i] != 0 && row.targets[i - 1] == row.tokens[i];
          EXPECT_EQ(row.resets[i] != 0, row.tokens[i] != 0 && !in_document) << "a state begins with a document or piece";
          if (row.targets[i] == -100) continue;
          ASSERT_EQ(next.at(row.tokens[i]), row.targets[i]);
          next.erase(row.tokens[i]);
          ++pairs;
        }
      }
      EXPECT_TRUE(next.empty()) << ctx_len << (alone ? " alone" : "");
      EXPECT_GT(pairs, 0);
    }
  }
}

// A packed row is what its documents are as rows of their own.
TEST_F(LayoutTest, PackedDocumentsAreThemselves) {
  const Documents documents = counting({5, 3, 9, 1, 2, 30, 4});
  const auto tokens = data(documents);
  for (const auto turns : {RowRules::Turns::all, RowRules::Turns::qa, RowRules::Turns::se}) {
    RowRules rules{.ctx_len = 20, .doc_reset = true, .turns = turns, .markers = {.user = {6}, .assistant = {10, 11}}};
    const auto packed = make_pack_layout(tokens, rules, false), alone = make_pack_layout(tokens, rules, true);
    std::map<int32_t, Row> by_first;  // rows of one document, by their first token
    for (int64_t i = 0; i < alone->n_rows(); ++i) {
      Row row = filled(*alone, i, 20);
      by_first.emplace(row.tokens[0], row);
    }
    for (int64_t i = 0; i < packed->n_rows(); ++i) {
      const Row row = filled(*packed, i, 20);
      for (size_t begin = 0; begin < 20; ++begin) {
        if (row.resets[begin] == 0 || !by_first.contains(row.tokens[begin])) continue;
        const Row& one = by_first.at(row.tokens[begin]);
        for (size_t k = 0; begin + k < 20 && (k == 0 || row.resets[begin + k] == 0); ++k) {
          if (row.tokens[begin + k] == 0) break;
          EXPECT_EQ(row.tokens[begin + k], one.tokens[k]);
          EXPECT_EQ(row.targets[begin + k], one.targets[k]);
        }
      }
    }
  }
}

TEST_F(LayoutTest, RowsWithoutResetsWantedAreTheSame) {
  const auto tokens = data(counting({5, 3, 9, 50, 2}));
  const RowRules rules{.ctx_len = 8, .doc_reset = true};
  for (const auto& layout : {make_pack_layout(tokens, rules, false), make_window_layout(tokens, rules)}) {
    Row with(8), without(8, false);
    layout->fill(1, with.row());
    layout->fill(1, without.row());
    EXPECT_EQ(with.tokens, without.tokens);
    EXPECT_EQ(with.targets, without.targets);
    EXPECT_EQ(with.weights, without.weights);
  }
}

TEST_F(LayoutTest, LongDocumentsAreCutWithOneTokenOfOverlap) {
  const auto layout = make_pack_layout(data(counting({11})), {.ctx_len = 4, .doc_reset = true}, false);
  ASSERT_EQ(layout->n_rows(), 3);
  EXPECT_EQ(filled(*layout, 0, 4).tokens, (std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(filled(*layout, 0, 4).targets, (std::vector<int32_t>{2, 3, 4, 5}));
  EXPECT_EQ(filled(*layout, 1, 4).tokens, (std::vector<int32_t>{5, 6, 7, 8}));
  EXPECT_EQ(filled(*layout, 2, 4).tokens, (std::vector<int32_t>{9, 10, 11, 0}));
  EXPECT_EQ(filled(*layout, 2, 4).targets, (std::vector<int32_t>{10, 11, -100, -100}));
}

TEST_F(LayoutTest, WithoutResetsPackedDocumentsFollowEachOther) {
  const auto layout = make_pack_layout(data(counting({3, 2, 9})), {.ctx_len = 8, .doc_reset = false}, false);
  const Row row = filled(*layout, 0, 8);
  EXPECT_EQ(row.tokens, (std::vector<int32_t>{1, 2, 3, 4, 5, 0, 0, 0}));
  EXPECT_EQ(row.targets, (std::vector<int32_t>{2, 3, 4, 5, -100, -100, -100, -100}));
  EXPECT_EQ(row.resets, std::vector<uint8_t>(8, 0));
}

TEST_F(LayoutTest, WindowsKnowTheBordersOfTheIndex) {
  const auto tokens = data(counting({3, 0, 4, 1, 6}));
  const auto layout = make_window_layout(tokens, {.ctx_len = 8, .doc_reset = true});
  const Row row = filled(*layout, 0, 8);
  EXPECT_EQ(row.tokens, (std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(row.targets, (std::vector<int32_t>{2, 3, -100, 5, 6, 7, -100, -100}));
  EXPECT_EQ(row.resets, (std::vector<uint8_t>{1, 0, 0, 1, 0, 0, 0, 1}));
  const Row later = filled(*layout, 1, 8);  // begins inside a document
  EXPECT_EQ(later.resets, (std::vector<uint8_t>{0, 0, 1, 0, 0, 0, 1, 1}));
}

TEST_F(LayoutTest, OneDocumentIsDividedAtItsZeros) {
  const auto layout = make_window_layout(data({{5, 6, 0, 7, 0, 0, 8, 9, 1}}), {.ctx_len = 8, .doc_reset = true});
  const Row row = filled(*layout, 0, 8);
  EXPECT_EQ(row.targets, (std::vector<int32_t>{6, 0, -100, 0, -100, -100, 9, 1}));
  EXPECT_EQ(row.resets, (std::vector<uint8_t>{1, 0, 0, 1, 0, 1, 1, 0}));
}

TEST_F(LayoutTest, FilesOfOneDocumentEachAreDividedAtTheirZeros) {
  const SharedTokens both = join_tokens({data({{5, 6, 0, 7}}), data({{8, 0, 9, 4, 3}})});
  const Row row = filled(*make_window_layout(both, {.ctx_len = 8, .doc_reset = true}), 0, 8);
  EXPECT_EQ(row.targets, (std::vector<int32_t>{6, 0, -100, -100, 0, -100, 4, 3}));
  EXPECT_EQ(row.resets, (std::vector<uint8_t>{1, 0, 0, 1, 1, 0, 1, 0}));
}

// A turn that a piece inherits, wherever the document is cut.
TEST_F(LayoutTest, PiecesKnowWhoSpeaks) {
  std::vector<int32_t> document{9};
  for (int i = 0; i < 40; ++i) document.push_back(100 + i);
  document[5] = 1;                     // user
  document[10] = 2, document[11] = 3;  // assistant
  document[30] = 1;
  const auto tokens = data({document});
  for (int64_t ctx_len = 3; ctx_len < 45; ++ctx_len) {
    const RowRules rules{
        .ctx_len = ctx_len, .doc_reset = true, .turns = RowRules::Turns::qa, .markers = {.user = {1}, .assistant = {2, 3}}};
    const auto layout = make_pack_layout(tokens, rules, false);
    for (int64_t i = 0; i < layout->n_rows(); ++i) {
      const Row row = filled(*layout, i, ctx_len);
      for (int64_t k = 0; k < ctx_len; ++k) {
        const int64_t token = row.offset + k + 1;
        if (token >= 41 || token == 10) continue;  // a marker that a piece ends in is seen by the next
        EXPECT_EQ(row.targets[static_cast<size_t>(k)] != -100, token >= 10 && token < 30) << ctx_len << " " << token;
      }
    }
  }
}

TEST_F(LayoutTest, DataWithoutAnythingToLearnIsRefused) {
  EXPECT_EQ(make_pack_layout(data({{}, {4}, {}}), {.ctx_len = 4}, false)->n_rows(), 0);
  EXPECT_NE(refusal_of([&] { open_binidx_tokens(folder_.path("none"), false); }).find("none.bin: cannot open"), std::string::npos);
}

TEST_F(LayoutTest, JoinedFilesAreOneText) {
  const auto first = data(counting({3, 0, 4})), second = data({{}, {50, 51}, {52}});
  const SharedTokens both = join_tokens({first, second});
  EXPECT_EQ(both->n_tokens(), 10);
  EXPECT_EQ(both->n_documents(), 6);
  std::vector<int64_t> begins(7);
  both->document_begins(0, begins);
  EXPECT_EQ(begins, (std::vector<int64_t>{0, 3, 3, 7, 7, 9, 10}));
  EXPECT_EQ(both->document_of(2), 0);
  EXPECT_EQ(both->document_of(3), 2);
  EXPECT_EQ(both->document_of(8), 4);
  EXPECT_EQ(both->document_of(9), 5);
  std::vector<int32_t> tokens(10);
  both->read(0, tokens, 0);
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 50, 51, 52}));
  EXPECT_EQ(first_documents(both, 5)->n_tokens(), 9);
}

}  // namespace
}  // namespace rk

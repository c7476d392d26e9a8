#include "data/binidx.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "data/binidx_writer.h"
#include "support/read_file.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using testing_support::read_file;
using testing_support::TemporaryFolder;

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

using Documents = std::vector<std::vector<std::vector<int32_t>>>;

void write(const BinidxWriterArgs& args, const Documents& documents) {
  BinidxWriter writer(args);
  for (const auto& document : documents) {
    for (const auto& sequence : document) {
      writer.append(sequence);
      writer.end_sequence();
    }
    writer.end_document();
  }
  writer.finish();
  writer.commit();
}

Documents read(const Binidx& data) {
  Documents documents;
  for (int64_t d = 0; d < data.n_documents(); ++d) {
    auto& document = documents.emplace_back();
    for (int64_t s = data.document_begin(d); s < data.document_begin(d + 1); ++s) {
      auto& sequence = document.emplace_back(static_cast<size_t>(data.size_of_sequence(s)));
      data.read(s, 0, sequence, 0);
    }
  }
  return documents;
}

const Documents sample = {{{1, 2, 3}}, {{4}, {5, 6}}, {}, {}, {{}}, {{7, 8}}, {{9}}, {{10, 11}, {12}, {13}}};

TEST(Binidx, WhatIsWrittenIsReadInEveryType) {
  const TemporaryFolder folder;
  for (DType dtype : {DType::u8, DType::i8, DType::i16, DType::u16, DType::i32, DType::i64}) {
    const std::string prefix = folder.path(name_of(dtype));
    write({.prefix = prefix, .dtype = dtype}, sample);
    const Binidx data(prefix);
    EXPECT_EQ(data.dtype(), dtype);
    EXPECT_EQ(data.n_tokens(), 13);
    EXPECT_EQ(data.n_documents(), 8);
    EXPECT_EQ(data.n_sequences(), 9);
    EXPECT_EQ(data.largest_token(), 13);
    EXPECT_FALSE(data.has_modes());
    EXPECT_TRUE(data.warnings().empty());
    EXPECT_EQ(read(data), sample);
  }
}

TEST(Binidx, FilesAppearOnlyWhenTheyAreComplete) {
  const TemporaryFolder folder;
  const std::string prefix = folder.path("data");
  write_file(prefix + ".bin", "old");
  {
    BinidxWriter writer({.prefix = prefix});
    writer.append(std::vector<int32_t>(100000, 7));
    writer.end_sequence();
    writer.end_document();
    writer.finish();
    EXPECT_EQ(read_file(prefix + ".bin"), "old");
  }
  EXPECT_EQ(read_file(prefix + ".bin"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.root()), {}), 1) << "temporary files are gone";
}

TEST(Binidx, ManyDocumentsInPieces) {
  const TemporaryFolder folder;
  const std::string prefix = folder.path("many");
  constexpr int64_t n = 150000;
  BinidxWriter writer({.prefix = prefix, .dtype = DType::i32});
  for (int32_t d = 0; d < n; ++d) {
    writer.append(std::vector<int32_t>(static_cast<size_t>(d % 4), d));
    writer.end_sequence();
    writer.end_document();
  }
  writer.finish();
  writer.commit();
  const Binidx data(prefix);
  ASSERT_EQ(data.n_documents(), n);
  for (int64_t d = 0; d < n; ++d) {
    ASSERT_EQ(data.document_begin(d), d);
    ASSERT_EQ(data.size_of_sequence(d), d % 4);
    std::vector<int32_t> tokens(static_cast<size_t>(d % 4));
    data.read(d, 0, tokens, 0);
    ASSERT_EQ(tokens, std::vector<int32_t>(static_cast<size_t>(d % 4), static_cast<int32_t>(d)));
  }
}

TEST(Binidx, ADocumentLongerThanASequenceGoesOn) {
  const TemporaryFolder folder;
  const std::string prefix = folder.path("long");
  write({.prefix = prefix, .longest_sequence = 4}, {{{1, 2, 3, 4, 5, 6, 7, 8, 9}}, {{10, 11, 12, 13}}});
  EXPECT_EQ(read(Binidx(prefix)), (Documents{{{1, 2, 3, 4}, {5, 6, 7, 8}, {9}}, {{10, 11, 12, 13}}}));
}

TEST(Binidx, ModesAreKeptWhenDocumentsAreCopied) {
  const TemporaryFolder folder;
  {
    BinidxWriter writer({.prefix = folder.path("a"), .modes = true});
    for (int32_t i = 0; i < 5; ++i) {
      writer.append(std::vector<int32_t>{i, i});
      writer.end_sequence(static_cast<int8_t>(i * 3 - 4));
    }
    writer.end_document();
    writer.finish();
    writer.commit();
  }
  const Binidx a(folder.path("a"));
  ASSERT_TRUE(a.has_modes());
  EXPECT_EQ(a.mode_of_sequence(4), 8);
  BinidxWriter writer({.prefix = folder.path("b"), .modes = true});
  copy_document(a, 0, writer);
  writer.finish();
  writer.commit();
  EXPECT_EQ(read_file(folder.path("a.idx")), read_file(folder.path("b.idx")));
  EXPECT_EQ(read_file(folder.path("a.bin")), read_file(folder.path("b.bin")));
}

class BinidxRead : public testing::Test {
 protected:
  BinidxRead() { write({.prefix = prefix_}, {{{10, 11, 12}}, {{13, 14}}, {{65535}}}); }
  std::string refusal(int64_t seq, int64_t offset, size_t n, int64_t vocab = 0) const {
    std::vector<int32_t> tokens(n);
    try {
      Binidx(prefix_).read(seq, offset, tokens, vocab);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      return e.what();
    }
    return "";
  }
  TemporaryFolder folder_;
  std::string prefix_ = folder_.path("data");
};

TEST_F(BinidxRead, RunsOverSequenceEnds) {
  std::vector<int32_t> tokens(4);
  const Binidx data(prefix_);
  data.read(0, 1, tokens, 0);
  EXPECT_EQ(tokens, (std::vector<int32_t>{11, 12, 13, 14}));
  data.read(1, -0, std::span(tokens).first(2), 0);
  EXPECT_EQ(tokens, (std::vector<int32_t>{13, 14, 13, 14}));
  data.read_flat(6, std::span(tokens).first(0), 0);
}

TEST_F(BinidxRead, NeverBeyondTheFile) {
  EXPECT_EQ(refusal(0, 0, 6), "");
  EXPECT_NE(refusal(0, 0, 7), "");
  EXPECT_NE(refusal(2, 1, 1), "");
  EXPECT_NE(refusal(0, -1, 1), "");
  EXPECT_NE(refusal(0, int64_t{1} << 62, 1), "");
  EXPECT_NE(refusal(3, 0, 0), "");
  EXPECT_NE(refusal(-1, 0, 1), "");
}

TEST_F(BinidxRead, TokensOutsideTheVocabularyAreNamedWithTheirPlace) {
  EXPECT_EQ(refusal(0, 2, 4, 65536), "");
  const std::string reason = refusal(0, 2, 4, 65535);
  EXPECT_NE(reason.find(prefix_ + ".bin: byte 10: token 65535 is outside the vocabulary of 65535"), reason.npos) << reason;
}

TEST_F(BinidxRead, NumbersThatDoNotFitATokenAreRefused) {
  write({.prefix = prefix_, .dtype = DType::i64}, {{{1, 2, 3}}});
  std::string bin = read_file(prefix_ + ".bin");
  bin[8 + 4] = 1;  // the second token becomes 2 + 2^32
  write_file(prefix_ + ".bin", bin);
  const std::string reason = refusal(0, 0, 3);
  EXPECT_NE(reason.find(".bin: byte 8: token 4294967298"), reason.npos) << reason;
}

TEST_F(BinidxRead, TheBinFileDecidesHowManyTokensThereAre) {
  write_file(prefix_ + ".bin", read_file(prefix_ + ".bin") + std::string("\1\0\2\0\3", 5));
  const Binidx data(prefix_);
  EXPECT_EQ(data.n_tokens(), 8);
  EXPECT_EQ(data.warnings().size(), 1u);
  std::vector<int32_t> tokens(2);
  data.read_flat(6, tokens, 0);
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 2}));
}

// Every possible cut and many damaged bytes: opened or refused, never anything else.
TEST_F(BinidxRead, DamagedIndexesAreRefusedOrRead) {
  const std::string idx = read_file(prefix_ + ".idx");
  for (size_t n = 0; n < idx.size(); ++n) {
    write_file(prefix_ + ".idx", idx.substr(0, n));
    EXPECT_THROW(Binidx{prefix_}, Error) << n;
  }
  for (size_t at = 0; at < idx.size(); ++at) {
    for (int flipped : {0x01, 0x80, 0xFF}) {
      std::string damaged = idx;
      damaged[at] = static_cast<char>(damaged[at] ^ flipped);
      write_file(prefix_ + ".idx", damaged);
      try {
        read(Binidx(prefix_));
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), ExitCode::bad_input) << e.what();
      }
    }
  }
}

}  // namespace
}  // namespace rk

// Data that is no single token file: lists, folders, arrays and texts of characters.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "data/open_data_fixture.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::counting;
using testing_support::Documents;
using testing_support::OpenDataTest;
using testing_support::refusal_of;
using testing_support::Row;
using testing_support::write_text;

class DataTypes : public OpenDataTest {};

TEST_F(DataTypes, ListsOfTokenFiles) {
  tokens("a", counting({100}));
  tokens("b", {std::vector<int32_t>(50, 7)});
  const auto with = [&](const std::string& list) {
    write_text(path("list.txt"), list);
    return open({.data_file = path("list.txt"), .ctx_len = 8, .my_pile_version = 2});
  };
  const auto data = with("a 92 92\n\nb 42 134\n");
  EXPECT_EQ(data->n_tokens(), 150);
  EXPECT_EQ(data->token_files().size(), 4u);
  const auto source = data->train_source(0);
  EXPECT_EQ(source->n_samples_per_pass(), 11);  // the largest prime of the rule under 134 / 8
  std::set<int64_t> offsets;
  for (int64_t number = 1; number <= 11; ++number) {
    const Row row = Row(8).draw(*source, number);
    offsets.insert(row.offset);
    EXPECT_EQ(row.tokens[0], row.offset < 100 ? row.offset + 1 : 7);
  }
  EXPECT_EQ(offsets.size(), 11u);
  const auto refused = [&](const std::string& list, const char* words) {
    const std::string message = refusal_of([&] { with(list); });
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  refused("", "names no token files");
  refused("a 92\n", "list.txt:1: a line is PREFIX COUNT CUMULATIVE");
  refused("a 92 92 x\n", "list.txt:1: a line is PREFIX");
  refused("a 91 91\n", "COUNT 91 is not the 100 tokens");
  refused("a 92 92\nb 42 135\n", "list.txt:2: CUMULATIVE 135");
  refused("c 92 92\n", "c.bin: cannot open");
  EXPECT_NE(refusal_of([&] { open({.data_file = path("none.txt"), .ctx_len = 8, .my_pile_version = 2}); }).find("needs a list here"),
            std::string::npos);
}

TEST_F(DataTypes, QuestionsBesideAPile) {
  const std::string main = tokens("main", counting({400})), pile = tokens("pile", {std::vector<int32_t>(90, 5)});
  for (const int64_t mode : {1, 2}) {
    const auto source = open({.data_file = main, .ctx_len = 8, .my_qa_mask = mode, .my_qa_pile = pile})->train_source(0);
    const auto plain = open({.data_file = main, .ctx_len = 8})->train_source(0);
    for (int64_t number = 1; number < 60; ++number) {
      const Row row = Row(8).draw(*source, number);
      // with 1 a window without "A:" is replaced by one of the pile
      const bool from_pile = number % 2 == 0 || mode == 1;
      EXPECT_EQ(row.offset >= 400, from_pile) << number;
      if (!from_pile && number > 2) {
        EXPECT_EQ(row.offset, Row(8).draw(*plain, number / 2).offset);
      }
    }
  }
}

TEST_F(DataTypes, TextsOfCharacters) {
  write_text(path("train.txt"), "ab\r\nba\rcab");
  write_text(path("val.txt"), "cc\nb");
  DataOptions options{
      .data_file = path("train.txt"), .data_type = "utf-8", .ctx_len = 3, .order = "sequential", .val_file = path("val.txt")};
  const auto data = open(options);
  EXPECT_EQ(data->vocabulary(), 4);
  EXPECT_EQ(data->n_tokens(), 9);
  EXPECT_EQ(Row(3).draw(*data->validation_source(4), 0).tokens, (std::vector<int32_t>{3, 3, 0}));
  EXPECT_TRUE(fs::exists(path("proj/vocab.json")));
  write_text(path("val.txt"), "d");
  EXPECT_NE(refusal_of([&] { open(options); }).find("U+0064"), std::string::npos);
}

TEST_F(DataTypes, ShardsAreOneTextAndFoldersAreRead) {
  fs::create_directories(path("shards/deep"));
  tokens("shards/2", counting({5, 7}));
  tokens("shards/1", {{100, 101}});
  tokens("shards/deep/3", {{200, 201, 202}});
  const auto data = open({.data_file = path("shards"), .ctx_len = 16, .order = "sequential"});
  const Row row = Row(16).draw(*data->train_source(0), 1);
  EXPECT_EQ(row.tokens, (std::vector<int32_t>{100, 101, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 200, 201}));
  EXPECT_EQ(data->n_documents(), 4);
  EXPECT_EQ(data->vocabulary(), 203);
  EXPECT_EQ(data->token_files().size(), 6u);
  fs::create_directories(path("empty"));
  EXPECT_NE(refusal_of([&] { open({.data_file = path("empty")}); }).find("holds no files that end in .idx"), std::string::npos);
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data, const std::string& magic = "\x93NUMPY") {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  return magic + std::string("\x01\x00", 2) + static_cast<char>(header.size()) + '\0' + header + data;
}

TEST_F(DataTypes, ArraysOfNumbers) {
  const std::string bytes("\1\0\2\0\3\0\4\0\5\0\6\0", 12);
  write_text(path("a.npy"), npy("<u2", "(6,)", bytes));
  const auto data = open({.data_file = path("a.npy"), .data_type = "numpy", .ctx_len = 5, .order = "sequential"});
  EXPECT_EQ(Row(5).draw(*data->train_source(7), 1).targets, (std::vector<int32_t>{2, 3, 4, 5, 6}));
  EXPECT_EQ(data->vocabulary(), 7);
  const auto source = data->train_source(6);
  EXPECT_NE(refusal_of([&] { Row(5).draw(*source, 1); }).find("token 6 is outside the vocabulary of 6"), std::string::npos);
  write_text(path("a.npy"), npy("<i2", "(6,)", std::string("\1\0\2\0\xff\xff\4\0\5\0\6\0", 12)));
  const auto negative = open({.data_file = path("a.npy"), .data_type = "numpy", .ctx_len = 5})->train_source(0);
  EXPECT_NE(refusal_of([&] { Row(5).draw(*negative, 1); }).find("token -1"), std::string::npos);

  const auto refused = [&](const std::string& content, const char* words) {
    write_text(path("bad.npy"), content);
    const std::string message = refusal_of([&] { open({.data_file = path("bad.npy"), .data_type = "numpy", .ctx_len = 1}); });
    EXPECT_NE(message.find("bad.npy: byte "), std::string::npos) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  refused("", "not a .npy file");
  refused(npy("<u2", "(6,)", bytes).substr(0, 9), "ends inside its header");
  refused(npy("<u2", "(7,)", bytes), "do not fit");
  refused(npy("<u2", "(2, 3)", bytes), "no vector");
  refused(npy("<u2", "()", bytes), "no vector");
  refused(npy("<u2", "(99999999999999999999,)", bytes), "no vector");
  refused(npy("<u2", "(-1,)", bytes), "no vector");
  refused(npy("|O", "(6,)", bytes), "pickle");
  refused(npy("<f4", "(3,)", bytes), "not tokens");
  for (size_t n = 0; n < 60; ++n) {  // cut anywhere, nothing breaks
    write_text(path("cut.npy"), npy("<u2", "(6,)", bytes).substr(0, n));
    EXPECT_NE(refusal_of([&] { open({.data_file = path("cut.npy"), .data_type = "numpy", .ctx_len = 1}); }), "") << n;
  }

  write_text(path("rows.u16"), bytes);
  const DataOptions rows{.data_file = path("rows.u16"), .data_type = "uint16", .ctx_len = 4, .data_shuffle = false, .my_sample_len = 3};
  const auto two = open(rows)->train_source(0);
  EXPECT_EQ(two->n_samples_per_pass(), 2);
  EXPECT_EQ(Row(4).draw(*two, 2).targets, (std::vector<int32_t>{5, 6, -100, -100}));
  write_text(path("rows.u16"), bytes + "x");
  EXPECT_NE(refusal_of([&] { open(rows); }).find("no whole rows"), std::string::npos);
}

}  // namespace
}  // namespace rk

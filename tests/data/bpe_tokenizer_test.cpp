// Byte-level BPE: tokenizer.json, normalisation, pieces, merges.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/rng.h"
#include "data/text_error.h"
#include "data/tokenizer.h"
#include "data/tokenizers/bpe.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/tokenizer_json.h"
#include "data/tokenizers/unicode.h"
#include "data/utf8.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using nlohmann::json;
using testing_support::TemporaryFolder;

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, ids);
  return ids;
}

std::string text_of(const std::vector<char32_t>& characters) {
  std::string text;
  for (char32_t c : characters) append_utf8(text, c);
  return text;
}

std::string random_text(uint64_t seed, size_t n) {
  static const std::vector<std::string> words = {"the",
                                                 " and",
                                                 " LORD",
                                                 "'s",
                                                 "'",
                                                 "  ",
                                                 " ",
                                                 "\n",
                                                 "\r\n",
                                                 "\t",
                                                 "12",
                                                 "3",
                                                 ",",
                                                 ".",
                                                 "\xC3\xA9",
                                                 "e\xCC\x81",
                                                 "\xCC\xA7",
                                                 "\xCC\x81",
                                                 "\xE4\xBD\xA0\xE5\xA5\xBD",
                                                 "\xE3\x80\x82",
                                                 "\xE3\x80\x80",
                                                 "\xE1\x84\x80",
                                                 "\xE1\x85\xA1",
                                                 "\xE1\x86\xA8",
                                                 "\xEA\xB0\x80",
                                                 "\xF0\x9F\x98\x80",
                                                 "<|endoftext|>",
                                                 "<|padding|>",
                                                 "<|",
                                                 "|>",
                                                 "<",
                                                 "=====",
                                                 "                           ",
                                                 "\xE2\x84\xAB",
                                                 "\xC2\xA0",
                                                 "\xC2\xBD"};
  const Random random(seed, 0);
  std::string text;
  for (uint64_t i = 0; text.size() < n; ++i) text += words[static_cast<size_t>(random.uniform(i) * static_cast<double>(words.size()))];
  return text;
}

TEST(Nfc, KnownTexts) {
  const UnicodeTables tables;
  NfcNormalizer normal(tables);
  std::string out;
  const auto of = [&](const std::vector<char32_t>& characters) { return std::string(normal(text_of(characters), out)); };
  EXPECT_EQ(of({'e', 0x301, 'x'}), text_of({0xE9, 'x'}));
  EXPECT_EQ(of({0x212B, 0x2126}), text_of({0xC5, 0x3A9}));
  EXPECT_EQ(of({0x1100, 0x1161, 0x11A8, 0xAC00, 0x11A8}), text_of({0xAC01, 0xAC01})) << "Hangul";
  EXPECT_EQ(of({'a', 0x315, 0x300, 0x5AE, 0x301}), text_of({0xE0, 0x5AE, 0x301, 0x315})) << "marks are ordered";
  EXPECT_EQ(of({0x958}), text_of({0x915, 0x93C})) << "excluded from composition";
  EXPECT_EQ(of({0x301, 'a'}), text_of({0x301, 'a'}));
  EXPECT_EQ(of({0x1E0A, 0x323}), text_of({0x1E0C, 0x307}));
  const std::string plain = text_of({'a', 0xE9, 0x4E00});
  EXPECT_EQ(normal(plain, out).data(), plain.data()) << "normal text is not copied";
}

TEST(BytePieces, AreTheMatchesOfTheExpression) {
  const UnicodeTables tables;
  const BytePieces pieces(tables);
  const auto of = [&](std::string_view text) {
    std::vector<std::string> found;
    pieces.for_each(text, [&](std::string_view piece) { found.emplace_back(piece); });
    return found;
  };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(of("It's we'll 'S '"), (Pieces{"It", "'s", " we", "'ll", " '", "S", " '"}));
  EXPECT_EQ(of("a  b \n c"), (Pieces{"a", " ", " b", " \n", " c"}));
  EXPECT_EQ(of("x\n\ny\n"), (Pieces{"x", "\n", "\n", "y", "\n"}));
  EXPECT_EQ(of("12ab, 34!?"), (Pieces{"12", "ab", ",", " 34", "!?"}));
  EXPECT_EQ(of("a   "), (Pieces{"a", "   "}));
  EXPECT_EQ(of("\xC2\xA0x \xC2\xA0y"), (Pieces{"\xC2\xA0", "x", " ", "\xC2\xA0", "y"}));
}

// The definition: of all pairs of neighbours the one of the lowest rank, the leftmost of equals, again and again.
std::vector<int32_t> merged_slowly(const MergeTable& merges, std::string_view piece) {
  std::vector<int32_t> ids;
  for (char c : piece) ids.push_back(merges.id_of_byte(static_cast<uint8_t>(c)));
  for (;;) {
    MergeTable::Joined best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const MergeTable::Joined joined = merges.join(ids[i], ids[i + 1]);
      if (joined.rank < best.rank) best = joined, at = i;
    }
    if (best.rank == MergeTable::no_rank) return ids;
    ids[at] = best.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

json small_tokenizer() {
  json vocab, added = json::array();
  int id = 0;
  // all bytes as the byte-level form writes them
  char32_t next = 0x100;
  for (char32_t b = 0; b < 256; ++b) {
    const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    vocab[text_of({itself ? b : next++})] = id++;
  }
  const std::vector<std::string> merges = {"a a", "aa a", "b a", "a b", "aa aa", "ab ab", "a ba"};
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    vocab[merge.substr(0, space) + merge.substr(space + 1)] = id++;
  }
  added.push_back({{"id", id}, {"content", "<|endoftext|>"}, {"special", true}, {"normalized", false}});
  return {{"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

TEST(PieceEncoder, MergesAsDefined) {
  for (const bool wide : {false, true}) {  // ids that need more than 16 bits are kept in another form
    json content = small_tokenizer();
    if (wide) content["added_tokens"].push_back({{"id", 70000}, {"content", "<far>"}});
    const TokenizerJson vocabulary = parse_tokenizer_json(content.dump(), "small");
    const MergeTable merges(vocabulary, "small");
    EXPECT_EQ(merges.n_ids() > 0x10000, wide);
    PieceEncoder encoder(merges);
    const Random random(3, 0);
    for (uint64_t t = 0; t < 3000; ++t) {
      std::string piece;
      const size_t n = 1 + static_cast<size_t>(random.uniform(t * 200) * (t % 10 == 0 ? 120 : 18));
      for (size_t i = 0; i < n; ++i) piece.push_back("aaabbc"[static_cast<size_t>(random.uniform(t * 200 + i + 1) * 6)]);
      const std::string text = piece + (t % 3 == 0 ? "" : " and what follows it");
      for (int again = 0; again < 2; ++again) {
        std::vector<int32_t> ids;
        {
          IdSink sink(ids);
          encoder.encode(std::string_view(text).substr(0, n), text.data() + text.size(), sink);
        }
        ASSERT_EQ(ids, merged_slowly(merges, piece)) << piece;
      }
    }
  }
}

TEST(NeoxTokenizer, TextsComeBackNormalised) {
  const auto tokenizer = make_tokenizer("neox");
  EXPECT_EQ(tokenizer->vocab_size(), 50277);
  EXPECT_EQ(tokenizer->end_of_document(), 0);
  EXPECT_EQ(encode(*tokenizer, "a<|endoftext|>b"), (std::vector<int32_t>{66, 0, 67}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{66, 0, 1, 67}), "ab") << "special tokens are no text";
  EXPECT_EQ(tokenizer->bytes_of(1), "<|padding|>");
  EXPECT_THROW(tokenizer->bytes_of(50277), Error);
  EXPECT_EQ(tokenizer->decode(encode(*tokenizer, "e\xCC\x81")), "\xC3\xA9");
  try {
    encode(*tokenizer, "ab\xFFz");
    FAIL();
  } catch (const TextError& e) {
    EXPECT_EQ(e.offset(), 2u);
  }
}

TEST(NeoxTokenizer, PiecesGiveTheIdsOfTheWhole) {
  const auto tokenizer = make_bpe_tokenizer();
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const std::string text = random_text(seed, 3000);
    const std::vector<int32_t> whole = encode(*tokenizer, text);
    for (size_t step : {1u, 3u, 17u, 200u, 1000u}) {
      std::vector<int32_t> ids;
      std::string waiting;
      for (size_t at = 0; at < text.size(); at += step) {
        waiting += text.substr(at, step);
        const size_t cut = tokenizer->split_point(waiting);
        tokenizer->encode(std::string_view(waiting).substr(0, cut), ids);
        waiting.erase(0, cut);
        ASSERT_LT(waiting.size(), 1500u);
      }
      tokenizer->encode(waiting, ids);
      ASSERT_EQ(ids, whole) << "seed " << seed << ", steps of " << step;
    }
  }
}

TEST(NeoxTokenizer, ThreadsShareIt) {
  const auto tokenizer = make_bpe_tokenizer();
  std::vector<std::thread> threads;
  std::vector<std::vector<int32_t>> ids(6);
  const std::string text = random_text(1, 20000);
  for (size_t t = 0; t < ids.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) ids[t] = encode(*tokenizer, text);
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : ids) EXPECT_EQ(one, ids[0]);
}

TEST(NeoxTokenizer, ALongPieceTakesNoQuadraticTime) {
  const auto tokenizer = make_bpe_tokenizer();
  const std::string text(3000000, 'a');
  EXPECT_EQ(encode(*tokenizer, text).size(), 375000u);
}

class TokenizerJsonFile : public testing::Test {
 protected:
  std::string refusal(const json& content) {
    std::ofstream(folder_.path("t.json")) << content.dump();
    try {
      make_tokenizer(folder_.path("t.json"));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      EXPECT_TRUE(std::string(e.what()).starts_with(folder_.path("t.json") + ": ")) << e.what();
      return e.what();
    }
    return "accepted";
  }
  TemporaryFolder folder_;
};

TEST_F(TokenizerJsonFile, OthersOfTheKindAreRead) {
  json content = small_tokenizer();
  EXPECT_EQ(refusal(content), "accepted");
  const auto tokenizer = make_tokenizer(folder_.path("t.json"));
  EXPECT_EQ(tokenizer->end_of_document(), 263);
  EXPECT_EQ(tokenizer->decode(encode(*tokenizer, "e\xCC\x81 aaab")), "e\xCC\x81 aaab") << "without normalisation";
  for (json& merge : content["model"]["merges"]) {
    const std::string text = merge;
    merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
  }
  EXPECT_EQ(refusal(content), "accepted") << "merges as lists";
  content["normalizer"] = {{"type", "NFC"}};
  content["added_tokens"].push_back({{"id", 264}, {"content", "e\xCC\x81"}, {"normalized", true}});
  EXPECT_EQ(refusal(content), "accepted");
  const auto normal = make_tokenizer(folder_.path("t.json"));
  EXPECT_EQ(encode(*normal, "a\xC3\xA9 e\xCC\x81"), (std::vector<int32_t>{97, 264, 32, 264})) << "added texts are normalised, too";
}

TEST_F(TokenizerJsonFile, DamageIsRefused) {
  for (const char* text : {"", "{", "{\"model\": 1e999}", "[1]", "{\"model\": \"\xff\"}"}) {
    std::ofstream(folder_.path("t.json")) << text;
    try {
      make_bpe_tokenizer(folder_.path("t.json"));
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input) << e.what();
    }
  }
}

TEST_F(TokenizerJsonFile, WhatIsNotSupportedIsNamed) {
  const auto with = [&](auto&& change) {
    json content = small_tokenizer();
    change(content);
    return refusal(content);
  };
  const auto names = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  names(with([](json& j) { j["normalizer"] = {{"type", "NFKC"}}; }), "normalizer NFKC");
  names(with([](json& j) { j["pre_tokenizer"] = {{"type", "Metaspace"}}; }), "pre-tokenizer Metaspace");
  names(with([](json& j) { j["pre_tokenizer"] = nullptr; }), "pre-tokenizer null");
  names(with([](json& j) { j["pre_tokenizer"]["add_prefix_space"] = true; }), "add_prefix_space");
  names(with([](json& j) { j["pre_tokenizer"]["use_regex"] = false; }), "use_regex");
  names(with([](json& j) { j["model"]["type"] = "Unigram"; }), "Unigram");
  names(with([](json& j) { j["model"]["dropout"] = 0.1; }), "dropout");
  names(with([](json& j) { j["truncation"] = {{"max_length", 5}}; }), "truncation");
  names(with([](json& j) { j["model"]["byte_fallback"] = true; }), "byte_fallback");
  names(with([](json& j) { j["post_processor"] = {{"type", "TemplateProcessing"}}; }), "TemplateProcessing");
  names(with([](json& j) { j["decoder"] = {{"type", "WordPiece"}}; }), "WordPiece");
  names(with([](json& j) { j["added_tokens"][0]["lstrip"] = true; }), "lstrip");
  names(with([](json& j) { j["added_tokens"] = json::array(); }), "ends a document");
  names(with([](json& j) { j["added_tokens"][0]["id"] = 3; }), "do not agree on id 3");
  names(with([](json& j) { j["model"]["vocab"]["a"] = 1; }), "id 1 has two tokens");
  names(with([](json& j) { j["model"]["vocab"]["zz"] = -1; }), "-1");
  names(with([](json& j) { j["model"]["vocab"]["zz"] = 1 << 30; }), "1073741824");
  names(with([](json& j) { j["model"]["vocab"].erase("a"); }), "not in the vocabulary");
  names(with([](json& j) { j["model"]["vocab"].erase("x"); }), "single byte 120");
  names(with([](json& j) { j["model"]["merges"].push_back("a"); }), "merge 7");
  names(with([](json& j) { j["model"]["merges"].push_back("c c"); }), "\"cc\" is not in the vocabulary");
  names(with([](json& j) { j["model"].erase("vocab"); }), "vocab");
  names(with([](json& j) { j.erase("model"); }), "not a tokenizer.json");
  std::ofstream(folder_.path("cut.json")) << "{\"model\": ";
  EXPECT_THROW(make_tokenizer(folder_.path("cut.json")), Error);
}

TEST(DefaultTokenizer, OldScriptsNameItInTheEnvironment) {
  unsetenv("RWKV_VOCAB");
  EXPECT_EQ(default_tokenizer(), "world");
  setenv("RWKV_VOCAB", "20B", 1);
  EXPECT_EQ(default_tokenizer(), "neox");
  setenv("RWKV_VOCAB", "WORLD", 1);
  EXPECT_EQ(default_tokenizer(), "world");
  setenv("RWKV_VOCAB", "30B", 1);
  EXPECT_THROW(default_tokenizer(), Error);
  unsetenv("RWKV_VOCAB");
}

}  // namespace
}  // namespace rk

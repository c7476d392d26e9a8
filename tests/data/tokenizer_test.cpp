#include "data/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "data/byte_trie.h"
#include "data/char_vocab.h"
#include "data/shipped_files.h"
#include "data/text_error.h"
#include "data/utf8.h"
#include "data/world_vocab.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using testing_support::TemporaryFolder;

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, ids);
  return ids;
}

// Texts of all kinds: prose, code, runs, other scripts, random bytes.
std::vector<std::string> sample_texts() {
  std::vector<std::string> texts = {
      "",
      "a",
      "In the beginning God created the heaven and the earth.\n\nAnd  the   earth",
      "for (int i = 0; i < 10; ++i) {\n\t\tx[i] = 3.14159;\n}",
      "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82 \xF0\x9F\x98\x80\xF0\x9F\x98\x80",
      std::string(1000, ' '),
      std::string(1000, 'a'),
      std::string(10, '\0')};
  const Random random(11, 0);
  for (int t = 0; t < 40; ++t) {
    std::string text;
    for (int i = 0; i < 300; ++i)
      text.push_back(static_cast<char>(random.uniform(static_cast<uint64_t>(t) * 1000 + i) * (t % 2 == 0 ? 256 : 128)));
    texts.push_back(text);
  }
  return texts;
}

// The definition, without any data structure.
std::vector<int32_t> longest_matches(const std::vector<VocabEntry>& entries, std::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const VocabEntry* best = nullptr;
    for (const VocabEntry& entry : entries) {
      if (text.starts_with(entry.bytes) && (best == nullptr || entry.bytes.size() > best->bytes.size())) best = &entry;
    }
    ids.push_back(best->id);
    text.remove_prefix(best->bytes.size());
  }
  return ids;
}

// Every text equals its parts cut at split points, in pieces of any size.
void check_splits(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> whole = encode(tokenizer, text);
  for (size_t piece : {1u, 2u, 7u, 50u, 200u, 5000u}) {
    std::vector<int32_t> ids;
    std::string waiting;
    for (size_t at = 0; at < text.size(); at += piece) {
      waiting += text.substr(at, piece);
      const size_t cut = tokenizer.split_point(waiting);
      tokenizer.encode(std::string_view(waiting).substr(0, cut), ids);
      waiting.erase(0, cut);
      ASSERT_LE(waiting.size(), 5000u + 200u) << "long texts can be cut";
    }
    tokenizer.encode(waiting, ids);
    ASSERT_EQ(ids, whole) << "pieces of " << piece;
  }
}

TEST(ByteTrie, FindsTheLongest) {
  const ByteTrie trie({{"a", 1}, {"abc", 2}, {"abcd\xFF", 3}, {"b", 4}});
  const auto longest = [&](std::string_view text) { return trie.longest(text.data(), text.data() + text.size()); };
  EXPECT_EQ(longest("abcd").id, 2);
  EXPECT_EQ(longest("abcd").length, 3u);
  EXPECT_EQ(longest("abcd\xFF").id, 3);
  EXPECT_EQ(longest("ab").id, 1);
  EXPECT_EQ(longest("c").id, 0);
  EXPECT_EQ(longest("").id, 0);
}

TEST(WorldTokenizer, KnowsItsEntries) {
  const auto tokenizer = make_world_tokenizer();
  const auto entries = parse_world_vocab(shipped_world_vocab(), "vocab");
  ASSERT_EQ(entries.size(), 65529u);
  for (const VocabEntry& entry : entries) {
    ASSERT_EQ(encode(*tokenizer, entry.bytes), std::vector<int32_t>{entry.id});
    ASSERT_EQ(tokenizer->bytes_of(entry.id), entry.bytes);
  }
  EXPECT_EQ(tokenizer->vocab_size(), 65536);
  EXPECT_EQ(tokenizer->end_of_document(), 0);
  EXPECT_EQ(tokenizer->name(), "world");
}

TEST(WorldTokenizer, TakesTheLongestEntryAtEveryPlace) {
  const auto tokenizer = make_world_tokenizer();
  const auto entries = parse_world_vocab(shipped_world_vocab(), "vocab");
  for (const std::string& text : sample_texts()) {
    const std::string part = text.substr(0, 60);
    EXPECT_EQ(encode(*tokenizer, part), longest_matches(entries, part));
  }
}

// Words that were seen before are not matched again.
TEST(WorldTokenizer, RepeatedWordsGiveTheSameIds) {
  const auto entries = parse_world_vocab(shipped_world_vocab(), "vocab");
  const auto tokenizer = make_world_tokenizer();
  const std::vector<std::string> words = {
      " the", " earth.",        "\n\nAnd", " \xC2\xA1vi\xC3\xB3!", "  ", " !",        " internationalisation", "\n",        ".\n",
      "\n ",  "\xE3\x80\x82\n", "a",       " 1234567890123",       "\t", " \x01\x01", std::string(1, '\0'),    " xqzjkvwpq"};
  const Random random(5, 0);
  std::string text;
  for (uint64_t i = 0; i < 300; ++i) text += words[static_cast<size_t>(random.uniform(i) * static_cast<double>(words.size()))];
  const std::vector<int32_t> expected = longest_matches(entries, text);
  for (int again = 0; again < 3; ++again) ASSERT_EQ(encode(*tokenizer, text), expected);
}

TEST(WorldTokenizer, BytesComeBack) {
  const auto tokenizer = make_world_tokenizer();
  for (const std::string& text : sample_texts()) EXPECT_EQ(tokenizer->decode(encode(*tokenizer, text)), text);
}

TEST(WorldTokenizer, PiecesGiveTheIdsOfTheWhole) {
  const auto tokenizer = make_world_tokenizer();
  for (const std::string& text : sample_texts()) check_splits(*tokenizer, text);
  std::string long_text;
  for (const std::string& text : sample_texts()) long_text += text;
  check_splits(*tokenizer, long_text);
  check_splits(*tokenizer, std::string(20000, ' ') + std::string(20000, '='));
}

TEST(WorldTokenizer, IdsWithoutBytes) {
  const auto tokenizer = make_world_tokenizer();
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{33520, 0, 33520}), tokenizer->decode(std::vector<int32_t>{33520, 33520}));
  for (int32_t id : {0, -1, 65530, 65535, 65536, 1 << 30}) EXPECT_THROW(tokenizer->bytes_of(id), Error) << id;
  for (int32_t id : {-1, 65530, 1 << 30}) EXPECT_THROW(tokenizer->decode(std::vector<int32_t>{id}), Error) << id;
}

// A vocabulary of all single bytes, and these lines.
std::string byte_vocab(const std::string& more) {
  std::string text;
  for (int b = 0; b < 256; ++b) {
    const char* hex = "0123456789abcdef";
    text += cat(b + 1, " b'\\x", hex[b / 16], hex[b % 16], "' 1\n");
  }
  return text + more;
}

class VocabFile : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    const std::string path = folder_.path("vocab.txt");
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string refusal(const std::string& text) {
    try {
      make_world_tokenizer(write(text));
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  }
  TemporaryFolder folder_;
};

TEST_F(VocabFile, LiteralsOfAllForms) {
  const auto tokenizer = make_world_tokenizer(
      write(byte_vocab("300 'a b' 3\r\n301 \"it's\" 4\r\n302 '\\xe9\\u4F60\\U0001F600\\n\\t\\r\\\\\\'\\\"' 15\n400 '\xC3\xA9x' 3")));
  EXPECT_EQ(tokenizer->bytes_of(300), "a b");
  EXPECT_EQ(tokenizer->bytes_of(301), "it's");
  EXPECT_EQ(tokenizer->bytes_of(302), "\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80\n\t\r\\'\"");
  EXPECT_EQ(tokenizer->bytes_of(400), "\xC3\xA9x");
  EXPECT_EQ(encode(*tokenizer, "a b\xC3\xA9x\xC3"), (std::vector<int32_t>{300, 400, 0xC3 + 1}));
  EXPECT_EQ(tokenizer->vocab_size(), 448);
  EXPECT_THROW(tokenizer->bytes_of(303), Error);
}

TEST_F(VocabFile, RefusalsNameTheLine) {
  const std::string name = folder_.path("vocab.txt");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"300 'ab' 3\n", "the literal has 2 bytes, not 3"},
      {"300 'ab'\n", "three words are needed: id, 'text' or b'bytes', length"},
      {"300 ab 2\n", "the literal is not quoted"},
      {"300 'a'b' 3\n", "a quote inside the literal has no backslash"},
      {"300 'a\\' 2\n", "the literal ends with a backslash"},
      {"300 'a\\q' 2\n", "unknown escape \\q"},
      {"300 'a\\x4' 2\n", "an escape is cut"},
      {"300 'a\\xzz' 2\n", "'zz' is not hexadecimal"},
      {"300 'a\\ud800' 4\n", "an escape names no character"},
      {"300 b'\\u0041' 1\n", "unknown escape \\u"},
      {"300 '' 0\n", "the literal is empty"},
      {"x 'ab' 2\n", "id 'x' is not a number"},
      {"0 'ab' 2\n", "id 0 is not in 1..8388607"},
      {"9 'ab' 2\n", "id 9 is that of line 9"},
      {"300 'a' 1\n", "the same entry as line 98"},
      {"300 '\xFF' 1\n", "the literal is not UTF-8"},
      {"\n", "three words are needed: id, 'text' or b'bytes', length"},
  };
  for (const auto& [line, reason] : cases) EXPECT_EQ(refusal(byte_vocab(line)), cat(name, ":257: ", reason)) << line;
  EXPECT_EQ(refusal("1 'a' 1\n"), name + ": the single byte 0 has no entry; every byte needs one");
  EXPECT_NE(refusal("").find(name), std::string::npos);
}

TEST(BytesTokenizer, IdsAreBytes) {
  const auto tokenizer = make_bytes_tokenizer();
  EXPECT_EQ(encode(*tokenizer, std::string("\0a\xFF", 3)), (std::vector<int32_t>{0, 97, 255}));
  EXPECT_EQ(tokenizer->end_of_document(), 256);
  EXPECT_EQ(tokenizer->vocab_size(), 257);
  for (const std::string& text : sample_texts()) {
    EXPECT_EQ(tokenizer->decode(encode(*tokenizer, text)), text);
    check_splits(*tokenizer, text);
  }
  EXPECT_THROW(tokenizer->bytes_of(256), Error);
  EXPECT_THROW(tokenizer->bytes_of(-1), Error);
}

TEST(SpecialTokenizer, TextsAreCutOutWhereTheyEndFirst) {
  const std::shared_ptr<const Tokenizer> base = make_bytes_tokenizer();
  const auto tokenizer = make_special_tokenizer(base, {{"<|B|>", 250}, {"|>", 251}, {"xyz", 252}, {"yz", 253}});
  EXPECT_EQ(encode(*tokenizer, "a<|B|>b"), (std::vector<int32_t>{'a', 250, 'b'}));
  EXPECT_EQ(encode(*tokenizer, "<|>"), (std::vector<int32_t>{'<', 251}));
  EXPECT_EQ(encode(*tokenizer, "xyzyz<|B"), (std::vector<int32_t>{252, 253, '<', '|', 'B'}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{'a', 250, 256}), "a<|B|>");
  for (const char* text : {"<|B|><|B|>", "aaaa<|B|>bbbb|>cccc<|B|", "xyxyxyzyzyxyz", "<|B|"}) check_splits(*tokenizer, text);
  EXPECT_THROW(make_special_tokenizer(base, {{"", 1}}), Error);
  EXPECT_THROW(make_special_tokenizer(base, {{"a", 257}}), Error);
  EXPECT_THROW(make_special_tokenizer(base, {}), Error);
}

TEST(SpecialTokenizer, PiecesGiveTheIdsOfTheWhole) {
  const std::shared_ptr<const Tokenizer> base = make_world_tokenizer();
  const auto tokenizer = make_special_tokenizer(base, {{"<|B|>", 65531}, {"the", 65532}, {"        ", 65533}});
  for (const std::string& text : sample_texts()) check_splits(*tokenizer, text + "<|B|>" + text);
}

std::vector<char32_t> characters_of(const std::string& text) {
  CharacterSet set;
  set.add(text);
  return set.sorted();
}

TEST(CharTokenizer, IdsAreTheRanksOfCharacters) {
  const auto tokenizer = make_char_tokenizer(characters_of("h\xC3\xA9llo \xF0\x9F\x98\x80"), "v");
  EXPECT_EQ(tokenizer->vocab_size(), 7 + 1 - 1);  // six different characters and the end of documents
  EXPECT_EQ(encode(*tokenizer, " hlo\xC3\xA9\xF0\x9F\x98\x80"), (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(tokenizer->end_of_document(), 6);
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{5, 6, 0}), "\xF0\x9F\x98\x80 ");
  EXPECT_THROW(tokenizer->bytes_of(6), Error);
  check_splits(*tokenizer, "h\xC3\xA9llo \xF0\x9F\x98\x80\xC3\xA9\xC3\xA9 o");
}

TEST(CharTokenizer, AMissingCharacterIsNamedWithItsPlace) {
  const auto tokenizer = make_char_tokenizer(characters_of("abc"), "vocab.json");
  try {
    encode(*tokenizer, "ab\xE4\xB8\x80");
    FAIL();
  } catch (const TextError& e) {
    EXPECT_EQ(e.offset(), 2u);
    EXPECT_STREQ(e.what(), "the character U+4E00 ('\xE4\xB8\x80') is not in the vocabulary vocab.json");
  }
  EXPECT_THROW(encode(*tokenizer, "a\xFF"), TextError);
}

TEST_F(VocabFile, CharactersAsJson) {
  const std::vector<char32_t> characters = characters_of("a\n\"\\\x01\xC3\xA9\xF0\x9F\x98\x80");
  const std::string json = char_vocab_json(characters);
  EXPECT_EQ(json,
            "{\"0\": \"\\u0001\", \"1\": \"\\n\", \"2\": \"\\\"\", \"3\": \"\\\\\", \"4\": \"a\", \"5\": \"\xC3\xA9\", \"6\": "
            "\"\xF0\x9F\x98\x80\", \"7\": \"\"}");
  EXPECT_EQ(read_char_vocab(write(json)), characters);
}

TEST_F(VocabFile, CharactersOfOlderToolsAreRead) {
  EXPECT_EQ(read_char_vocab(write("{\"0\": \"a\", \"1\": \"\xC3\xA9\"}")), (std::vector<char32_t>{'a', 0xE9}));
  const std::u16string json = u"\uFEFF{\"0\": \"a\", \"1\": \"\U0001F600\"}";
  std::string little, big;
  for (char16_t unit : json) {
    little += {static_cast<char>(unit), static_cast<char>(unit >> 8)};
    big += {static_cast<char>(unit >> 8), static_cast<char>(unit)};
  }
  EXPECT_EQ(read_char_vocab(write(little)), (std::vector<char32_t>{'a', 0x1F600}));
  EXPECT_EQ(read_char_vocab(write(big)), (std::vector<char32_t>{'a', 0x1F600}));
}

TEST_F(VocabFile, DamagedVocabulariesOfCharacters) {
  for (const char* bad : {"", "[]", "{}", "{\"0\": \"\"}", "{\"0\": \"a\", \"2\": \"b\"}", "{\"0\": \"ab\"}", "{\"0\": 1}",
                          "{\"0\": \"\", \"1\": \"a\"}", "\xFF\xFE{", "\xFE\xFF\xD8\x00"}) {
    EXPECT_THROW(read_char_vocab(write(bad)), Error) << bad;
  }
  EXPECT_THROW(make_char_tokenizer(write("{\"0\": \"a\", \"1\": \"a\"}")), Error);
}

TEST_F(VocabFile, SpecificationsOfTokenizers) {
  EXPECT_EQ(make_tokenizer("world")->vocab_size(), 65536);
  EXPECT_EQ(make_tokenizer("bytes")->vocab_size(), 257);
  EXPECT_EQ(make_tokenizer(write(byte_vocab("")))->vocab_size(), 320);
  EXPECT_EQ(make_tokenizer("char:" + write("{\"0\": \"a\"}"))->vocab_size(), 2);
  EXPECT_THROW(make_tokenizer("char"), Error);
  EXPECT_THROW(make_tokenizer("no_such_tokenizer"), Error);
  EXPECT_THROW(make_tokenizer("char:no_such_file.json"), Error);
}

}  // namespace
}  // namespace rk

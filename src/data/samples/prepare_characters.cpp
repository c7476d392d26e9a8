#include <memory>

#include "base/error.h"
#include "data/char_vocab.h"
#include "data/samples/char_text.h"
#include "data/samples/prepared.h"
#include "data/samples/token_file_writer.h"
#include "data/staged_file.h"
#include "data/utf8.h"

namespace rk {
namespace {

void read_text(const DataOptions& options, const std::string& path, const std::function<void(std::span<const char32_t>)>& piece) {
  if (options.data_type != "dummy")
    return read_characters(path, options.data_type == "utf-8" ? CharEncoding::utf8 : CharEncoding::utf16le, piece);
  const std::string text = dummy_text();
  piece(std::vector<char32_t>(text.begin(), text.end()));
}

std::vector<char32_t> vocabulary_of_text(const DataOptions& options, const std::string& path) {
  const auto characters = std::make_unique<CharacterSet>();
  read_text(options, path, [&](std::span<const char32_t> piece) { characters->add(piece); });
  return characters->sorted();
}

}  // namespace

void prepare_characters(const PrepareArgs& args, const std::string& path, const std::string& vocabulary_of, const PreparedFile& to) {
  const std::vector<char32_t> vocabulary = vocabulary_of_text(args.options, vocabulary_of);
  std::vector<int32_t> token_of(0x110000, -1);
  for (size_t i = 0; i < vocabulary.size(); ++i) token_of[vocabulary[i]] = static_cast<int32_t>(i);
  TokenFileWriter writer(to.prefix, token_dtype(std::ssize(vocabulary)));
  std::vector<int32_t> tokens;
  read_text(args.options, path, [&](std::span<const char32_t> piece) {
    tokens.clear();
    for (char32_t c : piece) {
      if (token_of[c] < 0) fail(cat(path, ": the character ", describe_character(c), " is not among those of ", vocabulary_of));
      tokens.push_back(token_of[c]);
    }
    writer.append(tokens);
  });
  writer.end_document();
  writer.commit({.identity = to.identity, .vocabulary = std::ssize(vocabulary), .remarks = {}});
  if (args.say) args.say(cat(path, ": ", writer.n_tokens(), " characters, ", vocabulary.size(), " different ones, in ", to.prefix, ".bin"));
}

void write_vocab_json(const DataOptions& options, const std::string& vocabulary_of, const std::string& to) {
  const std::string json = char_vocab_json(vocabulary_of_text(options, vocabulary_of), false);
  StagedFile file(to);
  file.write(json.data(), json.size());
  file.finish();
  file.commit();
}

}  // namespace rk

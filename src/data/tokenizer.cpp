#include "data/tokenizer.h"

#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/mapped_file.h"

namespace rk {
namespace {

class BytesTokenizer final : public Tokenizer {
 public:
  BytesTokenizer() {
    for (size_t b = 0; b < all_.size(); ++b) all_[b] = static_cast<char>(b);
  }
  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    const size_t n = ids.size();
    ids.resize(n + bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i) ids[n + i] = static_cast<uint8_t>(bytes[i]);
  }
  size_t split_point(std::string_view bytes) const override { return bytes.size(); }
  std::string_view bytes_of(int32_t id) const override {
    if (id < 0 || id > 255) fail(cat("id ", id, " is not a byte"));
    return {all_.data() + id, 1};
  }
  int64_t vocab_size() const override { return 257; }
  int32_t end_of_document() const override { return 256; }
  std::string name() const override { return "bytes"; }

 private:
  std::array<char, 256> all_;
};

}  // namespace

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  for (int32_t id : ids) {
    if (!is_special(id)) bytes += bytes_of(id);
  }
  return bytes;
}

std::unique_ptr<Tokenizer> make_bytes_tokenizer() { return std::make_unique<BytesTokenizer>(); }

namespace {

// A tokenizer.json is a JSON object; lines of the world form begin with a number.
bool begins_like_json(const std::string& path) {
  const MappedFile file(path);
  for (const std::byte b : file.bytes()) {
    const char c = static_cast<char>(b);
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c == '{';
  }
  return false;
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& spec) {
  if (spec.empty()) return make_tokenizer(default_tokenizer());
  if (spec == "world") return make_world_tokenizer();
  if (spec == "neox") return make_bpe_tokenizer();
  if (spec == "bytes") return make_bytes_tokenizer();
  if (spec.starts_with("char:")) return make_char_tokenizer(spec.substr(5));
  if (spec == "char") fail("tokenizer char needs its vocabulary: char:FILE, where FILE is the vocab.json written beside the data");
  if (std::filesystem::is_regular_file(spec)) return begins_like_json(spec) ? make_bpe_tokenizer(spec) : make_world_tokenizer(spec);
  fail(cat("tokenizer '", spec,
           "' is neither world, neox, bytes, char:FILE nor a file (tokenizer.json, or a vocabulary of the world form)"));
}

std::string default_tokenizer() {
  const char* const given = std::getenv("RWKV_VOCAB");
  const std::string name = given == nullptr ? "" : given;
  if (name.empty() || name == "WORLD" || name == "world") return "world";
  if (name == "20B" || name == "20b") return "neox";
  fail(cat("RWKV_VOCAB=", name, " in the environment is neither WORLD nor 20B"));
}

}  // namespace rk

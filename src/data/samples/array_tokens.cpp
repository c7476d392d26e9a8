#include "data/samples/array_tokens.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"

namespace rk {
namespace {

static_assert(std::endian::native == std::endian::little);

struct Element {
  size_t n_bytes = 2;
  bool is_signed = false, big_endian = false;
};

template <class U>
U load(const std::byte* from, bool swap) {
  U x;
  std::memcpy(&x, from, sizeof x);
  if (!swap) return x;
  U y = 0;
  for (size_t i = 0; i < sizeof x; ++i) y = static_cast<U>(y | ((x >> 8 * i) & 0xFF) << 8 * (sizeof x - 1 - i));
  return y;
}

// Every element as int32; answers whether all were in [0, limit).
template <class U>
bool convert(const std::byte* from, const Element& element, std::span<int32_t> out, int64_t limit) {
  bool good = true;
  for (size_t i = 0; i < out.size(); ++i) {
    const U x = load<U>(from + i * sizeof(U), element.big_endian);
    good &= x < static_cast<uint64_t>(limit);  // a negative number is a large one
    out[i] = static_cast<int32_t>(x);
  }
  return good;
}

class ArrayTokens final : public TokenData {
 public:
  ArrayTokens(MappedFile file, size_t data_at, int64_t n_tokens, Element element, int64_t row_tokens)
      : file_(std::move(file)), data_at_(data_at), n_tokens_(n_tokens), element_(element), row_tokens_(row_tokens) {}

  std::string name() const override { return file_.path(); }
  int64_t n_tokens() const override { return n_tokens_; }
  int64_t n_documents() const override { return row_tokens_ > 0 ? n_tokens_ / row_tokens_ : 1; }
  void document_begins(int64_t first, std::span<int64_t> out) const override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = (first + static_cast<int64_t>(i)) * (row_tokens_ > 0 ? row_tokens_ : n_tokens_);
  }
  void read(int64_t offset, std::span<int32_t> out, int64_t vocab) const override {
    if (offset < 0 || std::ssize(out) > n_tokens_ - offset) fail(cat(name(), ": there are no tokens behind its ", n_tokens_));
    const int64_t limit = vocab > 0 ? vocab : int64_t{std::numeric_limits<int32_t>::max()} + 1;
    const std::byte* from = file_.bytes().data() + data_at_ + static_cast<size_t>(offset) * element_.n_bytes;
    if (!convert_all(from, out, limit)) refuse_token(offset, from, out.size(), limit);
  }
  std::vector<std::string> files() const override { return {file_.path()}; }

 private:
  bool convert_all(const std::byte* from, std::span<int32_t> out, int64_t limit) const {
    switch (element_.n_bytes) {
      case 1: return convert<uint8_t>(from, element_, out, element_.is_signed ? std::min<int64_t>(limit, 128) : limit);
      case 2: return convert<uint16_t>(from, element_, out, element_.is_signed ? std::min<int64_t>(limit, 1 << 15) : limit);
      case 4: return convert<uint32_t>(from, element_, out, limit);  // the limit leaves the sign out
      default: return convert<uint64_t>(from, element_, out, limit);
    }
  }
  [[noreturn]] void refuse_token(int64_t offset, const std::byte* from, size_t n, int64_t limit) const {
    size_t i = 0;
    for (int32_t one; i + 1 < n && convert_all(from + i * element_.n_bytes, {&one, 1}, limit);) ++i;
    uint64_t bits = 0;
    for (size_t b = 0; b < element_.n_bytes; ++b)
      bits |= static_cast<uint64_t>(from[i * element_.n_bytes + (element_.big_endian ? element_.n_bytes - 1 - b : b)]) << 8 * b;
    const int unused = static_cast<int>(64 - 8 * element_.n_bytes);
    const std::string token = element_.is_signed ? cat(static_cast<int64_t>(bits << unused) >> unused) : cat(bits);
    fail(cat(name(), ": byte ", data_at_ + (static_cast<size_t>(offset) + i) * element_.n_bytes, ": token ", token,
             " is outside the vocabulary of ", limit, "; was the data made with another tokenizer?"));
  }

  MappedFile file_;
  size_t data_at_;
  int64_t n_tokens_;
  Element element_;
  int64_t row_tokens_;
};

[[noreturn]] void refuse(const MappedFile& file, size_t offset, const std::string& reason) {
  fail(cat(file.path(), ": byte ", offset, ": ", reason));
}

// The text behind 'key': in the header's dictionary.
std::string_view value_of(const MappedFile& file, std::string_view header, size_t header_at, std::string_view key) {
  const std::string quoted = cat("'", key, "'");
  const size_t at = header.find(quoted), colon = at == header.npos ? at : header.find(':', at);
  if (colon == header.npos) refuse(file, header_at, cat("the header of the array has no ", quoted));
  std::string_view rest = header.substr(colon + 1);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  return rest;
}

Element element_of(const MappedFile& file, std::string_view header, size_t header_at) {
  const std::string_view rest = value_of(file, header, header_at, "descr");
  const size_t end = rest.empty() || rest[0] != '\'' ? rest.npos : rest.find('\'', 1);
  if (end == rest.npos) refuse(file, header_at, "arrays of several fields are not tokens; a vector of whole numbers is needed");
  const std::string_view descr = rest.substr(1, end - 1);
  const std::string name(descr);
  if (descr.find('O') != descr.npos)
    refuse(file, header_at, cat("objects (", name, ", a pickle) are not read; save the array as whole numbers"));
  const bool known = descr.size() == 3 && std::strchr("<>|=", descr[0]) != nullptr && (descr[1] == 'u' || descr[1] == 'i') &&
                     (descr[2] == '1' || descr[2] == '2' || descr[2] == '4' || descr[2] == '8');
  if (!known) refuse(file, header_at, cat("elements of type ", name, " are not tokens; u1, u2, i4, u4 and i8 are"));
  return {static_cast<size_t>(descr[2] - '0'), descr[1] == 'i', descr[0] == '>'};
}

int64_t length_of(const MappedFile& file, std::string_view header, size_t header_at) {
  std::string_view rest = value_of(file, header, header_at, "shape");
  const size_t end = rest.find(')');
  if (!rest.starts_with('(') || end == rest.npos) refuse(file, header_at, "the header of the array has no shape");
  const std::string shape(rest.substr(0, end + 1));
  uint64_t n = 0;
  const auto [stop, error] = std::from_chars(shape.data() + 1, shape.data() + end, n);
  const std::string_view left(stop, static_cast<size_t>(shape.data() + end - stop));
  if (error != std::errc() || left.find_first_not_of(", ") != left.npos || left.find(',') == left.npos)
    refuse(file, header_at, cat("an array of shape ", shape, " is no vector of tokens"));
  if (n > file.size()) refuse(file, header_at, cat("an array of shape ", shape, " does not fit into the file's ", file.size(), " bytes"));
  return static_cast<int64_t>(n);
}

}  // namespace

SharedTokens open_numpy_tokens(const std::string& path) {
  MappedFile file(path);
  const std::byte* bytes = file.bytes().data();
  const std::string_view text(reinterpret_cast<const char*>(bytes), file.size());
  if (!text.starts_with("\x93NUMPY")) refuse(file, 0, "not a .npy file (it does not begin with \\x93NUMPY)");
  if (text.size() < 12) refuse(file, 6, "the file ends inside its header");
  const int major = static_cast<uint8_t>(text[6]);
  if (major < 1 || major > 3) refuse(file, 6, cat("version ", major, " of .npy is not known; 1 to 3 are"));
  const size_t header_at = major == 1 ? 10 : 12;
  const size_t n_header = major == 1 ? load<uint16_t>(bytes + 8, false) : load<uint32_t>(bytes + 8, false);
  if (n_header > text.size() - header_at)
    refuse(file, 8, cat("a header of ", n_header, " bytes does not fit into the file's ", text.size()));
  const std::string_view header = text.substr(header_at, n_header);
  const Element element = element_of(file, header, header_at);
  const int64_t n = length_of(file, header, header_at);
  const size_t data_at = header_at + n_header, needed = static_cast<size_t>(n) * element.n_bytes;
  if (needed > text.size() - data_at)
    refuse(file, data_at,
           cat(n, " tokens of ", element.n_bytes, " bytes do not fit into the ", text.size() - data_at, " bytes that follow"));
  return std::make_shared<ArrayTokens>(std::move(file), data_at, n, element, 0);
}

SharedTokens open_uint16_rows(const std::string& path, int64_t row_tokens) {
  MappedFile file(path);
  const int64_t n = static_cast<int64_t>(file.size() / 2);
  if (file.size() % 2 != 0 || n % row_tokens != 0)
    fail(cat(path, ": ", file.size(), " bytes are no whole rows of --my_sample_len ", row_tokens, " tokens of 2 bytes"));
  return std::make_shared<ArrayTokens>(std::move(file), 0, n, Element{}, row_tokens);
}

}  // namespace rk

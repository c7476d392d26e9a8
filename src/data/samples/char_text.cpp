#include "data/samples/char_text.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "data/utf8.h"

namespace rk {
namespace {

constexpr size_t block_bytes = 1 << 20;

// Turns CR and CRLF into LF, also where a CR ends a piece.
class LineEnds {
 public:
  void put(char32_t c, std::vector<char32_t>& out) {
    const bool second = after_return_ && c == '\n';
    after_return_ = c == '\r';
    if (!second) out.push_back(c == '\r' ? U'\n' : c);
  }

 private:
  bool after_return_ = false;
};

// Decodes all whole characters of `bytes`; returns how many bytes these are. `last`: nothing follows.
class Decoder {
 public:
  Decoder(const std::string& path, CharEncoding encoding) : path_(path), encoding_(encoding) {}

  size_t decode(std::string_view bytes, int64_t offset, bool last, std::vector<char32_t>& out) {
    return encoding_ == CharEncoding::utf8 ? decode_utf8(bytes, offset, last, out) : decode_utf16(bytes, offset, last, out);
  }

 private:
  [[noreturn]] void refuse(int64_t offset, const char* reason) const { fail(cat(path_, ": byte ", offset, ": ", reason)); }

  size_t decode_utf8(std::string_view bytes, int64_t offset, bool last, std::vector<char32_t>& out) {
    size_t i = 0;
    while (i < bytes.size()) {
      const CodePoint c = first_code_point(bytes.substr(i));
      if (!c.valid) {
        if (!last && bytes.size() - i < 4) break;  // a character may be cut
        refuse(offset + static_cast<int64_t>(i), "invalid UTF-8; give the text's encoding with --data_type");
      }
      ends_.put(c.value, out);
      i += static_cast<size_t>(c.n_bytes);
    }
    return i;
  }

  size_t decode_utf16(std::string_view bytes, int64_t offset, bool last, std::vector<char32_t>& out) {
    const auto unit = [&](size_t i) {
      return static_cast<char32_t>(static_cast<uint8_t>(bytes[i])) | static_cast<char32_t>(static_cast<uint8_t>(bytes[i + 1])) << 8;
    };
    size_t i = 0;
    for (; i + 2 <= bytes.size(); i += 2) {
      char32_t c = unit(i);
      if (c >= 0xD800 && c <= 0xDFFF) {
        const bool pair = c < 0xDC00 && i + 4 <= bytes.size();
        if (c < 0xDC00 && !pair && !last) return i;
        const char32_t low = pair ? unit(i + 2) : 0;
        if (low < 0xDC00 || low > 0xDFFF) refuse(offset + static_cast<int64_t>(i), "half of a surrogate pair stands alone in UTF-16");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
      ends_.put(c, out);
    }
    if (last && i != bytes.size()) refuse(offset + static_cast<int64_t>(i), "UTF-16 ends with half a unit");
    return i;
  }

  std::string path_;
  CharEncoding encoding_;
  LineEnds ends_;
};

}  // namespace

void read_characters(const std::string& path, CharEncoding encoding, const std::function<void(std::span<const char32_t>)>& piece) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) fail(cat(path, ": cannot open: ", std::strerror(errno)));
  Decoder decoder(path, encoding);
  std::string bytes;
  std::vector<char32_t> characters;
  int64_t offset = 0;
  for (bool last = false; !last;) {
    const size_t kept = bytes.size();
    bytes.resize(kept + block_bytes);
    const size_t n = std::fread(bytes.data() + kept, 1, block_bytes, file.get());
    if (std::ferror(file.get())) fail(cat(path, ": cannot read at byte ", offset, ": ", std::strerror(errno)));
    bytes.resize(kept + n);
    last = n < block_bytes;
    if (last && offset == 0 && bytes.empty()) fail(cat(path, ": the file is empty; a text is needed"));
    characters.clear();
    const size_t used = decoder.decode(bytes, offset, last, characters);
    piece(characters);
    offset += static_cast<int64_t>(used);
    bytes.erase(0, used);
  }
}

std::string dummy_text() {
  std::string text;
  for (int64_t k = 0; k < 100000; ++k) {
    const int64_t a = k % 10000, b = k * k % 10000;
    text += "." + std::to_string(a) + "+" + std::to_string(b) + "=" + std::to_string(a + b) + ".";
  }
  return text;
}

}  // namespace rk

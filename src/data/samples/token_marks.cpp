#include "data/samples/token_marks.h"

#include <cstring>

#include "base/error.h"

namespace rk {
namespace {

constexpr char magic[8] = {'R', 'K', 'M', 'A', 'S', 'K', 0, 1};
constexpr size_t bits_at = 16;

}  // namespace

TokenMarks::TokenMarks(const std::string& path, int64_t n_tokens) : file_(path) {
  const auto bytes = file_.bytes();
  if (bytes.size() < bits_at || std::memcmp(bytes.data(), magic, sizeof magic) != 0)
    fail(cat(path, ": byte 0: not a file of counted tokens (it does not begin with RKMASK)"));
  uint64_t n;
  std::memcpy(&n, bytes.data() + 8, sizeof n);
  if (n != static_cast<uint64_t>(n_tokens)) fail(cat(path, ": byte 8: made for ", n, " tokens, but there are ", n_tokens));
  if ((bytes.size() - bits_at) != (n + 7) / 8)
    fail(cat(path, ": byte ", bits_at, ": ", bytes.size() - bits_at, " bytes are not the ", (n + 7) / 8, " of ", n, " tokens"));
}

void TokenMarks::read(int64_t offset, std::span<uint8_t> out) const {
  const std::byte* bits = file_.bytes().data() + bits_at;
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t at = static_cast<size_t>(offset) + i;
    out[i] = static_cast<uint8_t>(static_cast<uint8_t>(bits[at >> 3]) >> (at & 7)) & 1;
  }
}

TokenMarksWriter::TokenMarksWriter(const std::string& path) : file_(path) {
  const std::byte header[bits_at]{};  // written when the number is known
  file_.write(header, sizeof header);
}

void TokenMarksWriter::append(std::span<const uint8_t> counted) {
  for (uint8_t c : counted) {
    all_ &= c != 0;
    bits_ = static_cast<uint8_t>(bits_ | (c != 0) << (n_ & 7));
    if ((++n_ & 7) != 0) continue;
    file_.write(&bits_, 1);
    bits_ = 0;
  }
}

void TokenMarksWriter::finish() {
  if ((n_ & 7) != 0) file_.write(&bits_, 1);
  file_.write_at(0, magic, sizeof magic);
  file_.write_at(8, &n_, sizeof n_);
  file_.finish();
}

}  // namespace rk

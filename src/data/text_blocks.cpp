#include "data/text_blocks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "data/files_below.h"
#include "data/utf8.h"

namespace rk {
namespace {

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// Length of the character that ends `text`; of invalid bytes 1.
size_t last_character_bytes(std::string_view text) {
  for (size_t n = 1; n <= std::min<size_t>(4, text.size()); ++n) {
    const CodePoint c = first_code_point(text.substr(text.size() - n));
    if (c.valid && static_cast<size_t>(c.n_bytes) == n) return n;
  }
  return 1;
}

}  // namespace

TextFile text_file_of(const std::string& path, TextKind standard_input) {
  if (path == "-") return {path, standard_input};
  if (path.ends_with(".txt")) return {path, TextKind::document};
  if (path.ends_with(".jsonl")) return {path, TextKind::lines};
  fail(cat(path,
           ": the name must end in .txt (one document) or .jsonl (one document a line), or be that of a folder; - reads standard input"));
}

std::vector<TextFile> text_files_of(const std::vector<std::string>& inputs, TextKind standard_input) {
  namespace fs = std::filesystem;
  if (inputs.empty()) fail("no input files are given");
  std::vector<TextFile> files;
  for (const std::string& input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(text_file_of(input, standard_input));
      continue;
    }
    std::error_code error;
    const std::vector<std::string> found = files_below(input, {".txt", ".jsonl"}, error);
    if (error) fail(cat(input, ": cannot list the folder: ", error.message()));
    if (found.empty()) fail(cat(input, ": the folder holds no .txt and no .jsonl"));
    for (const std::string& path : found) files.push_back(text_file_of(path));
  }
  return files;
}

size_t last_line_end(std::string_view bytes) {
  const size_t feed = bytes.rfind('\n');
  if (feed != bytes.npos) return feed + 1;
  const size_t carriage = bytes.substr(0, bytes.empty() ? 0 : bytes.size() - 1).rfind('\r');
  return carriage == bytes.npos ? 0 : carriage + 1;
}

std::string_view strip_white_space(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    if (!c.valid || !is_white_space(c.value)) break;
    text.remove_prefix(static_cast<size_t>(c.n_bytes));
  }
  while (!text.empty()) {
    const size_t n = last_character_bytes(text);
    const CodePoint c = first_code_point(text.substr(text.size() - n));
    if (!c.valid || !is_white_space(c.value)) break;
    text.remove_suffix(n);
  }
  return text;
}

TextBlockReader::TextBlockReader(std::vector<TextFile> files, const Tokenizer& tokenizer, size_t block_bytes, TextPlace from)
    : files_(std::move(files)), tokenizer_(tokenizer), block_bytes_(block_bytes), n_opened_(from.file), skipped_(from.offset) {}

TextBlockReader::~TextBlockReader() {
  if (fd_ > STDIN_FILENO) close(fd_);
}

bool TextBlockReader::open_next_file() {
  if (n_opened_ == files_.size()) return false;
  const std::string& path = files_[n_opened_].path;
  fd_ = path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) fail(cat(path, ": cannot open: ", std::strerror(errno)));
  ++n_opened_;
  offset_ = std::exchange(skipped_, 0);
  if (offset_ > 0 && lseek(fd_, offset_, SEEK_SET) < 0) fail(cat(path, ": cannot go to byte ", offset_, ": ", std::strerror(errno)));
  return true;
}

bool TextBlockReader::fill(std::string& bytes, size_t n_bytes) {
  size_t used = bytes.size();
  bytes.resize(std::max(used, n_bytes));
  while (used < bytes.size()) {
    const ssize_t n = read(fd_, bytes.data() + used, bytes.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      fail(cat(files_[n_opened_ - 1].path, ": cannot read at byte ", offset_ + static_cast<int64_t>(used), ": ", std::strerror(errno)));
    used += static_cast<size_t>(n);
    if (n == 0) {
      bytes.resize(used);
      return false;
    }
  }
  return true;
}

size_t TextBlockReader::cut(std::string_view bytes) const {
  return files_[n_opened_ - 1].kind == TextKind::lines ? last_line_end(bytes) : tokenizer_.split_point(bytes);
}

bool TextBlockReader::next(TextBlock& block) {
  if (fd_ < 0 && !open_next_file()) return false;
  block.file = n_opened_ - 1;
  block.offset = offset_;
  block.first = offset_ == 0;
  block.last = false;
  block.bytes.assign(rest_);
  rest_.clear();
  for (size_t wanted = block_bytes_;; wanted = 2 * block.bytes.size()) {
    if (!fill(block.bytes, wanted)) {
      block.last = true;
      if (fd_ > STDIN_FILENO) close(fd_);
      fd_ = -1;
      break;
    }
    if (const size_t end = cut(block.bytes); end != 0) {
      rest_.assign(block.bytes, end);
      block.bytes.resize(end);
      break;
    }
  }
  offset_ += static_cast<int64_t>(block.bytes.size());
  return true;
}

}  // namespace rk

// Input files as blocks of text that can be worked on independently of each other.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace rk {

enum class TextKind : uint8_t {
  document,  // .txt: the file is one document
  lines      // .jsonl: every line that is not blank is one
};

struct TextFile {
  std::string path;  // "-": standard input
  TextKind kind = TextKind::document;
};

// By the ending of the name; "-" is `standard_input`. Refuses other names.
TextFile text_file_of(const std::string& path, TextKind standard_input = TextKind::document);

// The same for each input; a folder stands for all .txt and .jsonl below it, sorted by path. Refuses a folder without any.
std::vector<TextFile> text_files_of(const std::vector<std::string>& inputs, TextKind standard_input = TextKind::document);

struct TextPlace {
  size_t file = 0;
  int64_t offset = 0;  // 0, or behind a block
};

struct TextBlock {
  size_t file = 0;  // index of its file
  int64_t offset = 0;
  bool first = false, last = false;  // of its file
  std::string bytes;                 // whole lines, or a part of a document that can be encoded alone
};

// Reads file after file; memory is bounded by the block size, or by the longest line.
class TextBlockReader {
 public:
  // `tokenizer` tells where documents may be cut; it lives as long as the reader.
  TextBlockReader(std::vector<TextFile> files, const Tokenizer& tokenizer, size_t block_bytes, TextPlace from = {});
  ~TextBlockReader();
  TextBlockReader(TextBlockReader&&) = delete;

  bool next(TextBlock& block);

 private:
  bool open_next_file();
  bool fill(std::string& bytes, size_t n_bytes);  // up to n_bytes; false at the end of the file
  size_t cut(std::string_view bytes) const;

  std::vector<TextFile> files_;
  const Tokenizer& tokenizer_;
  size_t block_bytes_;
  size_t n_opened_ = 0;
  int fd_ = -1;
  int64_t offset_ = 0, skipped_ = 0;  // skipped_: of the first file that is opened
  std::string rest_;                  // read, but behind the last cut
};

// Where a block of whole lines ends: behind its last line break, 0 without one. A carriage return at the very end may be half of one.
size_t last_line_end(std::string_view bytes);

// Calls visit(line, offset, number) for every line, as Python reads text: CR, LF and CRLF end lines; numbers count from 0.
template <class Visit>
int64_t for_each_line(std::string_view bytes, Visit&& visit) {
  int64_t number = 0;
  size_t feed = 0;  // the first line feed from `at` on
  for (size_t at = 0; at < bytes.size(); ++number) {
    if (feed <= at) feed = std::min(bytes.find('\n', at), bytes.size());
    size_t end = feed;
    if (const size_t carriage = bytes.substr(at, end - at).find('\r'); carriage != bytes.npos) end = at + carriage;
    visit(bytes.substr(at, end - at), at, number);
    at = end + (bytes.substr(end, 2) == "\r\n" ? 2 : 1);
  }
  return number;
}

// Without the white space at both ends that Python's str.strip() takes away.
std::string_view strip_white_space(std::string_view text);

}  // namespace rk

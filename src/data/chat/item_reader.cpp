#include "data/chat/item_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "data/text_blocks.h"

namespace rk {
namespace {

constexpr size_t block_bytes = 1 << 20;

bool is_json_space(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

ItemReader::ItemReader(const std::string& path, bool lines_only) : path_(path == "-" ? "standard input" : path) {
  fd_ = path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) fail(cat(path, ": cannot open: ", std::strerror(errno)));
  more();
  if (buffer_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  if (lines_only) return;
  array_ = skip_space() == '[';
  if (array_) advance();
}

ItemReader::~ItemReader() {
  if (fd_ > STDIN_FILENO) close(fd_);
}

bool ItemReader::more() {
  if (ended_) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t used = buffer_.size();
  buffer_.resize(used + block_bytes);
  ssize_t n = 0;
  while ((n = read(fd_, buffer_.data() + used, block_bytes)) < 0 && errno == EINTR) {
  }
  if (n < 0) fail(cat(path_, ": cannot read at byte ", n_read_, ": ", std::strerror(errno)));
  buffer_.resize(used + static_cast<size_t>(n));
  n_read_ += n;
  ended_ = n == 0;
  return !ended_;
}

int ItemReader::peek() {
  if (at_ == buffer_.size() && !more()) return -1;
  return static_cast<uint8_t>(buffer_[at_]);
}

void ItemReader::advance() {
  if (buffer_[at_++] == '\n') {
    ++line_, column_ = 1;
  } else {
    ++column_;
  }
}

int ItemReader::skip_space() {
  for (;;) {
    const int c = peek();
    if (!is_json_space(c)) return c;
    advance();
  }
}

std::string ItemReader::place(const TextItem& item, size_t offset) const {
  const std::string_view before = std::string_view(item.text).substr(0, offset);
  const size_t line_begin = before.rfind('\n') + 1;  // 0 where there is none
  const int64_t column = static_cast<int64_t>(offset - line_begin) + (line_begin == 0 ? item.column : 1);
  return cat(path_, ":", item.line + std::count(before.begin(), before.end(), '\n'), ":", column);
}

void ItemReader::refuse(const TextItem& item, size_t offset, const std::string& reason) const {
  fail(cat(place(item, offset), ": ", reason));
}

void ItemReader::refuse_here(const std::string& reason) const { fail(cat(path_, ":", line_, ":", column_, ": ", reason)); }

bool ItemReader::next(TextItem& item) { return array_ ? next_element(item) : next_line(item); }

bool ItemReader::next_line(TextItem& item) {
  while (peek() >= 0) {
    size_t searched = 0, length = 0;
    for (;;) {
      length = std::string_view(buffer_).substr(at_).find_first_of("\r\n", searched);
      const bool half = length != std::string::npos && buffer_[at_ + length] == '\r' && at_ + length + 1 == buffer_.size();
      if (length != std::string::npos && !half) break;
      searched = length == std::string::npos ? buffer_.size() - at_ : length;
      if (searched > max_item_bytes) refuse_here(cat("a line of more than ", max_item_bytes >> 20, " MiB"));
      if (more()) continue;
      length = searched;
      break;
    }
    const std::string_view line = std::string_view(buffer_).substr(at_, length);
    item.line = line_++;
    item.column = 1;
    const bool blank = strip_white_space(line).empty();
    if (!blank) item.text.assign(line);
    at_ = std::min(buffer_.size(), at_ + length + (std::string_view(buffer_).substr(at_ + length, 2) == "\r\n" ? 2 : 1));
    if (!blank) return true;
  }
  return false;
}

bool ItemReader::next_element(TextItem& item) {
  int c = skip_space();
  if (any_ && c == ',') {
    advance();
    c = skip_space();
    if (c == ']') refuse_here("a value is expected behind a comma");
  } else if (any_ && c != ']' && c >= 0) {
    refuse_here("',' or ']' is expected behind an element of the array");
  }
  if (c < 0) refuse_here("the file ends inside its JSON array");
  if (c == ']') {
    advance();
    if (skip_space() >= 0) refuse_here("something follows the JSON array");
    return false;
  }
  read_element(item);
  any_ = true;
  return true;
}

// Up to where the element ends, by brackets and quotes alone: what it holds is checked by who reads it.
void ItemReader::read_element(TextItem& item) {
  item.text.clear();
  item.line = line_, item.column = column_;
  int depth = 0;
  bool in_string = false;
  for (int c = peek(); c >= 0; c = peek()) {
    if (!in_string && depth == 0 && (c == ',' || c == ']' || is_json_space(c)) && !item.text.empty()) return;
    if (in_string && c == '\\') {
      item.text.push_back('\\');
      advance();
      if ((c = peek()) < 0) break;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      ++depth;
    } else if (!in_string && (c == '}' || c == ']')) {
      --depth;
    }
    item.text.push_back(static_cast<char>(c));
    if (item.text.size() > max_item_bytes) {
      refuse(item, 0, cat("an element of more than ", max_item_bytes >> 20, " MiB begins here; is a bracket or a quote missing?"));
    }
    advance();
    if (depth <= 0 && !in_string && (c == '}' || c == ']' || c == '"')) return;
  }
  refuse(item, 0, "the file ends inside the element that begins here");
}

}  // namespace rk

// Items of a text file one after another: its lines, or the elements of the JSON array that it is.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace rk {

struct TextItem {
  std::string text;
  int64_t line = 0, column = 0;  // of its first byte, from 1
};

// Memory is bounded by the longest item, and that by max_item_bytes. What is wrong with the file is an error naming file:line:column.
class ItemReader {
 public:
  static constexpr size_t max_item_bytes = size_t{256} << 20;

  // "-": standard input. A file that begins with '[' is an array, unless `lines_only`.
  ItemReader(const std::string& path, bool lines_only);
  ItemReader(ItemReader&&) = delete;
  ~ItemReader();

  // Lines that are blank are no items.
  bool next(TextItem& item);
  bool is_array() const { return array_; }
  int64_t n_bytes() const { return n_read_; }  // of the file, so far

  // Ends the program's work at a byte of an item.
  [[noreturn]] void refuse(const TextItem& item, size_t offset, const std::string& reason) const;
  std::string place(const TextItem& item, size_t offset) const;  // "file:line:column"

 private:
  bool more();  // reads on behind buffer_; false at the end
  int peek();   // the next byte, or -1
  void advance();
  int skip_space();  // the next byte that is no white space, or -1
  [[noreturn]] void refuse_here(const std::string& reason) const;
  bool next_line(TextItem& item);
  bool next_element(TextItem& item);
  void read_element(TextItem& item);

  std::string path_, buffer_;
  int fd_ = -1;
  size_t at_ = 0;
  int64_t n_read_ = 0, line_ = 1, column_ = 1;
  bool array_ = false, any_ = false, ended_ = false;
};

}  // namespace rk

// ZIP archives in memory (a mapped file): stored and deflated records, ZIP64. Nothing is extracted to disk, and nothing is
// believed: every number is checked against the size of the file before it is used.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rk::zip {

struct Entry {
  std::string_view name;  // as in the archive; used only to look records up
  bool deflated = false;
  uint32_t crc = 0;
  uint64_t size = 0;   // of the content
  uint64_t local = 0;  // offset of the local header
  std::span<const std::byte> stored;
};

// Inflates one deflated record from its start on, in pieces; going back starts again.
class Inflater {
 public:
  Inflater(std::string path, const Entry& entry);
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();
  // Bytes [offset, offset + n) of the content.
  void read(uint64_t offset, size_t n, void* destination);

 private:
  struct Stream;
  void restart();
  void next(size_t n, std::byte* destination);

  std::string path_;
  Entry entry_;
  std::unique_ptr<Stream> stream_;
  uint64_t position_ = 0;
};

class Archive {
 public:
  // `path` only names the file in errors. Refuses encrypted records, unknown compression, records that overlap, share a name or
  // leave the file, and directories that do not add up.
  Archive(std::string path, std::span<const std::byte> file);

  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view name) const;
  // The whole content of a small record; refuses one larger than `limit`. CRCs are not looked at: torch can leave them out.
  std::vector<std::byte> content(const Entry& entry, uint64_t limit) const;

 private:
  struct Directory {
    uint64_t offset = 0, size = 0, count = 0, end = 0;
  };
  [[noreturn]] void refuse(const std::string& why) const;
  template <class T>
  T number(uint64_t offset) const;
  std::string_view text(uint64_t offset, uint64_t n) const;
  uint64_t find_end_record() const;
  Directory find_directory() const;
  Directory wide_directory(uint64_t locator, Directory narrow) const;
  Entry read_entry(uint64_t at, uint64_t end, uint64_t& next) const;
  void widen(Entry& entry, uint64_t& compressed, std::span<const std::byte> extra) const;
  void locate(Entry& entry, uint64_t compressed, uint16_t method, uint64_t directory) const;
  void check_overlaps() const;

  std::string path_;
  std::span<const std::byte> file_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

// CRC-32 of a record's content, inflated if need be.
uint32_t crc_of(const std::string& path, const Entry& entry);

}  // namespace rk::zip

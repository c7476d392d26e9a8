// Writes a ZIP archive of stored records as a stream, ZIP64 where sizes or offsets need it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/disk.h"

namespace rk::zip {

class Writer {
 public:
  explicit Writer(NewFile& file) : file_(file) {}

  // Opens a record of `size` bytes whose content starts at a multiple of 64; padding is an extra field "FB" as torch writes it.
  void begin(const std::string& name, uint64_t size);
  void write(const void* data, size_t n_bytes);
  void end();  // after exactly `size` bytes
  void add(const std::string& name, std::string_view content);
  void finish();  // the directory

 private:
  struct Record {
    std::string name;
    uint64_t size = 0, offset = 0, written = 0;
    uint32_t crc = 0;
  };
  NewFile& file_;
  std::vector<Record> records_;
};

// Upper bound of what an archive of records of these sizes takes.
uint64_t archive_bytes(const std::vector<uint64_t>& sizes, size_t longest_name);

}  // namespace rk::zip

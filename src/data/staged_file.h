// A file that appears under its name only when it is complete.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rk {

// Writes PATH.tmp through a buffer; commit() makes it durable and renames it to PATH. Without commit the destructor removes it.
// A write error (full disk) is an error naming the file and the reason. A file that another process writes is refused.
class StagedFile {
 public:
  // Goes on behind the first `kept` bytes of a PATH.tmp that a killed process left, which must have so many; 0: a new file.
  explicit StagedFile(const std::string& path, int64_t kept = 0);
  StagedFile(StagedFile&&) = delete;
  ~StagedFile();

  void write(const void* data, size_t n_bytes);
  int64_t size() const { return written_ + static_cast<int64_t>(used_); }

  // Access to what was written, for headers and second passes.
  void write_at(int64_t offset, const void* data, size_t n_bytes);
  void read_at(int64_t offset, void* data, size_t n_bytes);

  void truncate(int64_t n_bytes);  // only the first n_bytes are kept, and what follows is written behind them

  void finish();  // everything reaches the disk; PATH is untouched
  void commit();  // after finish(): PATH.tmp becomes PATH

  const std::string& path() const { return path_; }

 private:
  void flush();
  void write_whole(int64_t offset, const std::byte* data, size_t n_bytes);
  [[noreturn]] void refuse(const char* action) const;

  std::string path_, temporary_;
  int fd_ = -1;
  std::vector<std::byte> buffer_;
  size_t used_ = 0;
  int64_t written_ = 0;
};

// Of a process that was killed between finish() and the end of commit(): PATH.tmp, where there is one, becomes PATH.
void commit_left(const std::string& path);

}  // namespace rk

// Files being written: temporary name, full disks, durability.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace rk {

// Bytes an ordinary user may still write on the file system that holds `path` (the file, or the folder it will lie in).
uint64_t free_bytes(const std::string& path);

// Fails with "cannot write PATH: reason", and, where the disk is full, the bytes that were to be written and those that are free.
// exit code 1: the input was fine. `error` is an errno.
[[noreturn]] void fail_write(const std::string& path, uint64_t n_bytes, int error);

// Fails before anything is written when `n_bytes` do not fit beside `path`.
void require_space(const std::string& path, uint64_t n_bytes);

void sync_file(const std::string& path);                           // fsync of a file written by others
void sync_folder_of(const std::string& path);                      // makes the names in the folder that holds `path` durable
void rename_file(const std::string& from, const std::string& to);  // replaces `to`; durable when it returns

// Owner of a file under construction: PATH.tmp until finish() has synced it and renamed it to PATH. `n_bytes` is what it will hold:
// a disk that has less room is refused before anything is written.
class NewFile {
 public:
  explicit NewFile(const std::string& path, uint64_t n_bytes = 0);
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();  // removes an unfinished file

  void write(const void* data, size_t n_bytes);  // at position(), which moves on
  void write_at(uint64_t offset, const void* data, size_t n_bytes);
  uint64_t position() const { return position_; }
  void finish();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t position_ = 0, not_started_ = 0;
};

void write_file(const std::string& path, const std::string& text);  // a NewFile of it

}  // namespace rk

// A file mapped read-only into memory.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace rk {

// Owner of a read-only memory map. Throws bad_input naming the file when it cannot be opened.
// A file that is truncated, or lost by its network disk, while mapped raises SIGBUS on access; install_sigbus_handler()
// turns that into one sentence naming file and offset, and exit code 2.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, n_bytes_}; }
  size_t size() const { return n_bytes_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t n_bytes_ = 0;
  int slot_ = -1;  // entry in the table that the SIGBUS handler reads
};

// Called once by main().
void install_sigbus_handler();

}  // namespace rk

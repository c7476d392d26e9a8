#include "device/host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

constexpr size_t kGiB = size_t{1} << 30;

// A machine of 64 GiB, 48 of them free, as files tell it.
class HostMemoryTest : public testing::Test {
 protected:
  HostMemoryTest() { write("proc/meminfo", cat("MemTotal:   ", 64 << 20, " kB\nMemFree: 1 kB\nMemAvailable:   ", 48 << 20, " kB\n")); }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_.path(name)).parent_path());
    std::ofstream(folder_.path(name)) << text;
  }
  HostMemory read() const { return host_memory(folder_.path("proc"), folder_.path("cgroup")); }

  testing_support::TemporaryFolder folder_;
};

TEST_F(HostMemoryTest, WithoutALimit) {
  for (const char* groups : {"", "0::/\n", "4:memory:/a\n", "nonsense"}) {
    write("proc/self/cgroup", groups);
    write("cgroup/memory.max", "max\n");
    write("cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    const HostMemory m = read();
    EXPECT_EQ(m.total, 64 * kGiB);
    EXPECT_EQ(m.available, 48 * kGiB);
    EXPECT_EQ(m.limit, 0u);
    EXPECT_EQ(m.most(), 64 * kGiB);
  }
}

TEST_F(HostMemoryTest, TheTightestGroupCounts) {
  write("proc/self/cgroup", "0::/jobs/17/step\n");
  write("cgroup/jobs/17/step/memory.max", "max\n");
  write("cgroup/jobs/17/memory.max", cat(40 * kGiB, "\n"));
  write("cgroup/jobs/17/memory.current", cat(30 * kGiB, "\n"));
  write("cgroup/jobs/17/memory.stat", cat("anon 1\ninactive_file ", 10 * kGiB, "\nactive_file ", 5 * kGiB, "\n"));
  write("cgroup/jobs/memory.max", cat(60 * kGiB, "\n"));
  const HostMemory m = read();
  EXPECT_EQ(m.limit, 40 * kGiB);
  EXPECT_EQ(m.most(), 40 * kGiB);
  EXPECT_EQ(m.available, 25 * kGiB) << "pages of files can go";
}

TEST_F(HostMemoryTest, FirstVersionOfGroups) {
  write("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n");
  write("cgroup/memory/job/memory.limit_in_bytes", cat(20 * kGiB, "\n"));
  write("cgroup/memory/job/memory.usage_in_bytes", cat(22 * kGiB, "\n"));
  EXPECT_EQ(read().limit, 20 * kGiB);
  EXPECT_EQ(read().available, 0u);
}

TEST_F(HostMemoryTest, ALimitOfAMachineThatGrows) {
  write("proc/self/cgroup", "0::/outside/of/the/container\n");
  write("cgroup/memory.max", cat(128 * kGiB, "\n"));
  EXPECT_EQ(read().total, 64 * kGiB);
  EXPECT_EQ(read().most(), 128 * kGiB);
}

TEST(HostMemory, OfThisMachine) {
  const HostMemory m = host_memory();
  EXPECT_GT(m.total, 0u);
  EXPECT_GT(m.available, 0u);
  EXPECT_LE(m.available, m.total);
}

}  // namespace
}  // namespace rk

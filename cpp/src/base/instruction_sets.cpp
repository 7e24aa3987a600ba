#include "labelquorum/instruction_sets.hpp"

#include <cstdlib>
#include <stdexcept>

#ifdef LABELQUORUM_HAVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace labelquorum {
namespace {

#ifdef LABELQUORUM_HAVE_AMX
// Linux allows a process to use the tiles if it asks first.
bool has_amx() {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    constexpr unsigned amx_bf16 = 1U << 22;
    constexpr unsigned amx_tile = 1U << 24;
    if ((edx & amx_bf16) == 0 || (edx & amx_tile) == 0) return false;
    constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

bool is_supported(InstructionSet set) {
    switch (set) {
        case InstructionSet::baseline: return true;
#ifdef LABELQUORUM_HAVE_AVX2
        case InstructionSet::avx2:
            return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif
#ifdef LABELQUORUM_HAVE_AVX512
        case InstructionSet::avx512:
            return __builtin_cpu_supports("fma") != 0 && __builtin_cpu_supports("avx512f") != 0 &&
                   __builtin_cpu_supports("avx512bw") != 0 &&
                   __builtin_cpu_supports("avx512vl") != 0 &&
                   __builtin_cpu_supports("avx512dq") != 0;
#endif
#ifdef LABELQUORUM_HAVE_AVX512_BF16
        case InstructionSet::avx512_bf16:
            return is_supported(InstructionSet::avx512) &&
                   __builtin_cpu_supports("avx512bf16") != 0 &&
                   __builtin_cpu_supports("avx512vnni") != 0;
#endif
#ifdef LABELQUORUM_HAVE_AMX
        case InstructionSet::amx: return is_supported(InstructionSet::avx512_bf16) && has_amx();
#endif
        default: return false;
    }
}

std::vector<InstructionSet> compiled() {
    std::vector<InstructionSet> sets{InstructionSet::baseline};
#ifdef LABELQUORUM_HAVE_AVX2
    sets.push_back(InstructionSet::avx2);
#endif
#ifdef LABELQUORUM_HAVE_AVX512
    sets.push_back(InstructionSet::avx512);
#endif
#ifdef LABELQUORUM_HAVE_AVX512_BF16
    sets.push_back(InstructionSet::avx512_bf16);
#endif
#ifdef LABELQUORUM_HAVE_AMX
    sets.push_back(InstructionSet::amx);
#endif
    return sets;
}

InstructionSet choose() {
    const char* wanted = std::getenv("LABELQUORUM_INSTRUCTION_SET");
    InstructionSet best = InstructionSet::baseline;
    for (const InstructionSet set : compiled()) {
        if (!is_supported(set)) continue;
        if (wanted != nullptr && name(set) == wanted) return set;
        best = set;
    }
    if (wanted == nullptr || *wanted == '\0') return best;
    std::string usable;
    for (const InstructionSet set : compiled()) {
        if (is_supported(set)) usable += (usable.empty() ? "" : ", ") + name(set);
    }
    throw std::invalid_argument("LABELQUORUM_INSTRUCTION_SET must be one of " + usable +
                                " for this build on this machine, got \"" + std::string(wanted) +
                                "\".");
}

}  // namespace

InstructionSet instruction_set() {
    static const InstructionSet chosen = choose();
    return chosen;
}

std::string name(InstructionSet set) {
    switch (set) {
        case InstructionSet::avx2: return "avx2";
        case InstructionSet::avx512: return "avx512";
        case InstructionSet::avx512_bf16: return "avx512_bf16";
        case InstructionSet::amx: return "amx";
        default: return "baseline";
    }
}

std::vector<std::string> compiled_instruction_sets() {
    std::vector<std::string> names;
    for (const InstructionSet set : compiled()) names.push_back(name(set));
    return names;
}

}  // namespace labelquorum

// Memory that starts at the beginning of a cache line.
#pragma once

#include <cstddef>
#include <vector>

namespace labelquorum {

class AlignedBuffer {
public:
    void resize(std::size_t n_bytes) { lines_.resize((n_bytes + sizeof(Line) - 1) / sizeof(Line)); }
    template <class T>
    T* as() {
        return reinterpret_cast<T*>(lines_.data());
    }

    template <class T>
    const T* as() const {
        return reinterpret_cast<const T*>(lines_.data());
    }

private:
    struct alignas(64) Line {
        char bytes[64];
    };
    std::vector<Line> lines_;
};

}  // namespace labelquorum

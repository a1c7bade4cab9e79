"""The texts that ship, by purpose and locale: GSM-7 only, one segment. Beside them the answer to HELP, and notices.

`{pin}` comes last, so that a gateway that appends the PIN instead of replacing its placeholder reads as well.
"""

from typing import Final

GENERIC: Final = {
    "en": "{brand}: your PIN (valid {minutes} min, do not share it): {pin}",
    "es": "{brand}: tu PIN (vale {minutes} min, no lo compartas): {pin}",
    "pt": "{brand}: seu PIN (vale {minutes} min, nunca o compartilhe): {pin}",
}

SHIPPED: Final = {
    "signup": {
        "en": "{brand}: PIN to sign up (valid {minutes} min, do not share it): {pin}",
        "es": "{brand}: PIN para registrarte (vale {minutes} min, no lo compartas): {pin}",
        "pt": "{brand}: PIN para criar sua conta (vale {minutes} min, nunca o compartilhe): {pin}",
    },
    "login": {
        "en": "{brand}: PIN to sign in (valid {minutes} min, do not share it): {pin}",
        "es": "{brand}: PIN para entrar en tu cuenta (vale {minutes} min, no lo compartas): {pin}",
        "pt": "{brand}: PIN para entrar na sua conta (vale {minutes} min, nunca o compartilhe): {pin}",
    },
    "password_reset": {
        "en": "{brand}: PIN to reset your password (valid {minutes} min, do not share it): {pin}",
        "es": "{brand}: PIN para restablecer tu contraseña (vale {minutes} min, no lo compartas): {pin}",
        "pt": "{brand}: PIN para redefinir sua senha (vale {minutes} min, nunca o compartilhe): {pin}",
    },
}

HELP: Final = {
    "en": "We send the PINs and notices that you asked for. STOP ends them, START brings them back.",
    "es": "Enviamos los PIN y avisos que pediste. STOP los termina, START los reanuda.",
    "pt": "Enviamos os PIN e avisos que pediu. STOP encerra, START retoma.",
}
"""The answer to HELP, AYUDA, AJUDA."""

FACTOR_ADDED: Final = {
    "en": "{brand}: a new sign-in method was added to your account. If this was not you, change your password.",
    "es": "{brand}: tu cuenta tiene un nuevo método de acceso. Si no lo pediste, cambia tu contraseña.",
    "pt": "{brand}: sua conta tem um novo método de acesso. Se desconhece isso, troque sua senha.",
}
FACTOR_REMOVED: Final = {
    "en": "{brand}: a sign-in method was removed from your account. If this was not you, change your password.",
    "es": "{brand}: se ha quitado un método de acceso de tu cuenta. Si no lo pediste, cambia tu contraseña.",
    "pt": "{brand}: um método de acesso foi removido da sua conta. Se desconhece isso, troque sua senha.",
}
"""The notices to a subject's phones when its factors change."""

"""Who a page is for, as its routes declare it: whoever looks, decides, or runs the server."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from server.web.access import Need, SessionNeeds, Visit

Looking = Annotated[Visit, Depends(SessionNeeds(Need.VIEWER))]
Owning = Annotated[Visit, Depends(SessionNeeds(Need.OWNER))]
Operating = Annotated[Visit, Depends(SessionNeeds(Need.OPERATOR))]
